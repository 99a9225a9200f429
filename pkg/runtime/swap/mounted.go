// This file owns what is mounted in a root already: it is not moved, and nothing is put aside that has it below.

package swap

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mountsIn are the mount points in a root, as paths in it.
func mountsIn(root string) ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return mountPoints(string(text), root), nil
}

// mountPoints reads them out of the text of a mountinfo.
func mountPoints(text, root string) (list []string) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		rel, err := filepath.Rel(root, unescape.Replace(fields[4]))
		if err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, "../") {
			continue
		}
		if rel = "/" + rel; !slices.Contains(list, rel) {
			list = append(list, rel)
		}
	}
	return list
}

// unescape undoes what the kernel does to the names in a mountinfo.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// covers says whether name is dir, or below it.
func covers(dir, name string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}
