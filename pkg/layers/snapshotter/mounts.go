// This file owns what the kernel says of mounts, as text: where something is mounted below a directory.

package snapshotter

import (
	"path"
	"strings"
)

// MountPoints lists the paths below a directory at which something is mounted, as seen from the directory. The text is that of
// /proc/self/mountinfo (proc(5)); the directory is free of links.
func MountPoints(mountinfo, dir string) (names []string) {
	dir = strings.TrimSuffix(path.Clean(dir), "/")
	for line := range strings.Lines(mountinfo) {
		fields := strings.Split(line, " ")
		if len(fields) < 5 {
			continue
		}
		at := unescape(fields[4])
		if name, inside := strings.CutPrefix(at, dir+"/"); inside && name != "" && !strings.HasSuffix(at, deletedMount) {
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
