// This file owns what is mounted in a root already: it is not moved, and nothing is put aside that has it below.

package swap

import (
	"os"
	"strings"

	"github.com/gbuild/gbuild/internal/procfs"
)

// mountsIn are the mount points in a root, as paths in it.
func mountsIn(root string) ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return procfs.MountPoints(string(text), root), nil
}

// covers says whether name is dir, or below it.
func covers(dir, name string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}
