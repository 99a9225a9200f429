// This file owns what the kernel says of mounts.

package procfs

import (
	"iter"
	"path"
	"slices"
	"strings"
)

// Mount is what is mounted at one place.
type Mount struct {
	Point   string   // the path, as seen from the root of who has read the text
	Options []string // of this mount, such as "ro"; the file system has its own
	Type    string   // of the file system
}

// Mounts reads the text of a mountinfo (proc(5)). Lines that are none are left out, and mount points that have no name any more.
func Mounts(mountinfo string) iter.Seq[Mount] {
	return func(yield func(Mount) bool) {
		for line := range strings.Lines(mountinfo) {
			f := strings.Split(strings.TrimSuffix(line, "\n"), " ")
			end := slices.Index(f, "-") // before it are as many fields as there are
			if end < 6 || end+1 >= len(f) {
				continue
			}
			m := Mount{Point: unescape(f[4]), Options: strings.Split(f[5], ","), Type: f[end+1]}
			if !strings.HasSuffix(m.Point, deletedMount) && !yield(m) {
				return
			}
		}
	}
}

// MountPoints lists the paths below a directory, which is free of links, at which something is mounted, as seen from the directory.
func MountPoints(mountinfo, dir string) (names []string) {
	dir = strings.TrimSuffix(path.Clean(dir), "/")
	for m := range Mounts(mountinfo) {
		if name, inside := strings.CutPrefix(m.Point, dir+"/"); inside && name != "" {
			names = append(names, "/"+name)
		}
	}
	return names
}

// deletedMount ends the path of a mount point that has no name any more.
const deletedMount = "//deleted"

// unescape replaces what the kernel writes for spaces, and for other characters that would end a field, by these.
func unescape(field string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(field, `\`)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if c, ok := octal(after); ok {
			b.WriteByte(c)
			field = after[3:]
		} else {
			b.WriteByte('\\')
			field = after
		}
	}
}

// octal reads three octal digits.
func octal(s string) (c byte, ok bool) {
	if len(s) < 3 {
		return 0, false
	}
	for _, digit := range []byte(s[:3]) {
		if digit < '0' || digit > '7' {
			return 0, false
		}
		c = c<<3 + digit - '0'
	}
	return c, true
}
