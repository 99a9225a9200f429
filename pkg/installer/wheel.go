// This file owns the names of Python distributions, as people, files, directories and the WHEEL files in them write them.

package installer

import (
	"bufio"
	"io"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

var separators = lazyregexp.New(`[-_.]+`)

// NormalName is a name in the form that is compared (PEP 503).
func NormalName(name string) string {
	return strings.ToLower(separators().ReplaceAllString(name, "-"))
}

// WheelName reads NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl. The name is normal.
func WheelName(file string) (name, version string, ok bool) {
	parts := strings.Split(strings.TrimSuffix(file, ".whl"), "-")
	if len(parts) != 5 && len(parts) != 6 {
		return "", "", false
	}
	return NormalName(parts[0]), parts[1], true
}

// DistInfoName reads NAME-VERSION.dist-info, a directory about one distribution. The name is normal; the version has no dash.
func DistInfoName(dir string) (name, version string, ok bool) {
	stem, ok := strings.CutSuffix(dir, ".dist-info")
	i := strings.LastIndex(stem, "-")
	if !ok || i <= 0 || i == len(stem)-1 {
		return "", "", false
	}
	return NormalName(stem[:i]), stem[i+1:], true
}

// maxWheelFile is how much of a WHEEL file is read; real ones have a few hundred bytes.
const maxWheelFile = 64 << 10

// WheelTags makes the end of a wheel's file name from its WHEEL file: the build number, and the compressed set of the tags.
func WheelTags(r io.Reader) string {
	build := ""
	var sets [3][]string
	for s := bufio.NewScanner(io.LimitReader(r, maxWheelFile)); s.Scan(); {
		key, value, _ := strings.Cut(s.Text(), ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(key) {
		case "build":
			build = "-" + value
		case "tag":
			for i, part := range strings.SplitN(value, "-", 3) {
				if !slices.Contains(sets[i], part) {
					sets[i] = append(sets[i], part)
				}
			}
		}
	}
	if len(sets[2]) == 0 {
		return build
	}
	return build + "-" + strings.Join(sets[0], ".") + "-" + strings.Join(sets[1], ".") + "-" + strings.Join(sets[2], ".")
}
