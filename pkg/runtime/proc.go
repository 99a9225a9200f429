// This file owns the small questions that others ask of /proc, /sys and the file system. It knows nobody.

package runtime

import (
	"os"
	"strings"
)

// selfExe is this program, whatever its file is called or has become.
const selfExe = "/proc/self/exe"

// readSetting reads a file that has one line, such as those of /proc/sys; one that cannot be read counts as empty.
func readSetting(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}

// exists says whether a path leads to something.
func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// under says whether the clean path p is dir or below it.
func under(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, dir+"/")
}
