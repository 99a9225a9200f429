// This file owns the names of wheels: it finds the distributions in the caches of pip and uv.

package pipcache

import (
	"archive/zip"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/gbuild/gbuild/pkg/installer"
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
	name, version, ok := installer.DistInfoName(path.Base(dir))
	return Wheel{Name: name, Version: version}, ok && strings.HasPrefix(parent, "archive-v")
}

// fromName names a wheel by its file.
func fromName(file string, size int64) (Wheel, bool) {
	name, version, ok := installer.WheelName(file)
	return Wheel{name, version, file, size}, ok
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
		name, version, ok := installer.DistInfoName(stem + ".dist-info")
		return Wheel{name, version, stem + tags(e) + ".whl", size}, ok
	}
	return Wheel{}, false
}

// tags is the end of the wheel's file name, which its WHEEL file tells.
func tags(e *zip.File) string {
	rc, err := e.Open()
	if err != nil {
		return ""
	}
	defer rc.Close()
	return installer.WheelTags(rc)
}
