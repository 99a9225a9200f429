// This file owns the names of wheels: it finds the distributions in the caches of pip and uv.

package pipcache

import (
	"archive/zip"
	"bufio"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// Wheel is a distribution in pip's or uv's cache.
type Wheel struct {
	Name    string // The name is normalised, as in PEP 503.
	Version string
	File    string // This is the name of the wheel file; it is empty for one that uv keeps unpacked.
	Size    int64  // The size of the file is in bytes.
}

// less sorts by name, then by version as text.
func (w Wheel) less(o Wheel) bool {
	return w.Name < o.Name || w.Name == o.Name && (w.Version < o.Version || w.Version == o.Version && w.File < o.File)
}

// wheelAt recognises the places where pip and uv keep wheels:
//   - http-v2/…/HASH.body: the bytes as they came, for a wheel a zip (pip since 23.3)
//   - http/…/HASH: cachecontrol's frame around the same bytes (pip before that)
//   - wheels/…/NAME.whl: what pip built itself
//   - archive-v0/ID/NAME-VERSION.dist-info: uv's, unpacked
func wheelAt(root *os.Root, file string, info fs.FileInfo) (Wheel, bool) {
	switch {
	case info.IsDir():
		return unpacked(file)
	case !info.Mode().IsRegular():
		return Wheel{}, false
	case strings.HasSuffix(file, ".whl"):
		return fromName(path.Base(file), info.Size())
	case under(file, "http-v2") && strings.HasSuffix(file, ".body"), under(file, "http"):
		return fromZip(root, file, info.Size())
	}
	return Wheel{}, false
}

// under says that a directory of the path has the name.
func under(file, name string) bool {
	return slices.Contains(strings.Split(path.Dir(file), "/"), name)
}

// unpacked recognises what uv keeps: a directory ID/NAME-VERSION.dist-info.
func unpacked(dir string) (Wheel, bool) {
	parent := path.Base(path.Dir(path.Dir(dir)))
	stem, ok := strings.CutSuffix(path.Base(dir), ".dist-info")
	if !ok || !strings.HasPrefix(parent, "archive-v") {
		return Wheel{}, false
	}
	name, version, ok := cutLast(stem)
	return Wheel{Name: normal(name), Version: version}, ok
}

// fromName reads NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl.
func fromName(file string, size int64) (Wheel, bool) {
	parts := strings.Split(strings.TrimSuffix(file, ".whl"), "-")
	if len(parts) != 5 && len(parts) != 6 {
		return Wheel{}, false
	}
	return Wheel{normal(parts[0]), parts[1], file, size}, true
}

// fromZip names a wheel by its dist-info directory and the tags in it. Bytes before and after the zip are ignored, as
// zip readers do, which takes off cachecontrol's frame.
func fromZip(root *os.Root, file string, size int64) (Wheel, bool) {
	// A FIFO of this name must not block us, nor a link lead elsewhere.
	f, err := root.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Wheel{}, false
	}
	defer f.Close()
	z, err := zip.NewReader(f, size)
	if err != nil {
		return Wheel{}, false
	}
	for _, e := range z.File {
		dir, base := path.Split(e.Name)
		stem, ok := strings.CutSuffix(strings.TrimSuffix(dir, "/"), ".dist-info")
		if !ok || base != "WHEEL" || strings.Contains(stem, "/") {
			continue
		}
		name, version, ok := cutLast(stem)
		return Wheel{normal(name), version, stem + tags(e) + ".whl", size}, ok
	}
	return Wheel{}, false
}

// maxWheelFile is how much of a WHEEL file is read; real ones have a few hundred bytes.
const maxWheelFile = 64 << 10

// tags makes the end of the file name from the WHEEL file: the build number, and the compressed set of the tags.
func tags(e *zip.File) string {
	rc, err := e.Open()
	if err != nil {
		return ""
	}
	defer rc.Close()
	build := ""
	var sets [3][]string
	for s := bufio.NewScanner(io.LimitReader(rc, maxWheelFile)); s.Scan(); {
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

// cutLast splits NAME-VERSION; a version has no dash in a dist-info directory.
func cutLast(s string) (name, version string, ok bool) {
	i := strings.LastIndex(s, "-")
	if i <= 0 || i == len(s)-1 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

var separators = lazyregexp.New(`[-_.]+`)

// normal is the name as people write it in requirements (PEP 503).
func normal(name string) string {
	return strings.ToLower(separators().ReplaceAllString(name, "-"))
}
