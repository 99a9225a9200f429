// This file owns the small questions that others ask of /proc, /sys and the file system. It knows nobody.

package host

import (
	"os"
	"strings"
)

// SelfExe is this program, whatever its file is called or has become.
const SelfExe = "/proc/self/exe"

// ReadSetting reads a file that has one line, such as those of /proc/sys; one that cannot be read counts as empty.
func ReadSetting(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}

// Exists says whether a path leads to something.
func Exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// Under says whether the clean path p is dir or below it.
func Under(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, dir+"/")
}
