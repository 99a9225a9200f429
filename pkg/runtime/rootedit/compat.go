// This file owns CUDA's forward compatibility: whether the libraries of CUDA that an image brings along for older drivers go before
// those of the driver. A note in libcuda itself says with which branches of the driver it works.

package rootedit

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// NvidiaLibraryDir is where images of NVIDIA's look for the driver's libraries: it is in their search paths, so that they
// work without a loader's cache.
const NvidiaLibraryDir = "/usr/local/nvidia/lib64"

// Compat is what is known of the host where newer CUDA libraries of the image may be used. The zero value forbids them.
type Compat struct {
	Driver string // the version of the host's driver
	CUDA   string // the CUDA release of the host's driver, where the driver of the image has no version to compare with
	Dir    string // where the image keeps such libraries; "" is where CUDA installs them
}

var (
	compatCuda = lazyregexp.New(`^libcuda\.so\.([0-9]+\.[0-9.]+)$`)
	compatName = lazyregexp.New(`^lib[A-Za-z0-9_-]+\.so\.[0-9]+$`)
)

// compatLinks says where the image keeps CUDA libraries for older drivers, if they suit this driver (a libcuda that does not is CUDA error
// 803), and gives the links that put them before the driver's own.
func compatLinks(p Place, host Compat) (dir string, links []Link) {
	if host.Driver == "" && host.CUDA == "" {
		return "", nil
	}
	if dir = host.Dir; dir == "" {
		dir = "/usr/local/cuda/compat"
	}
	var found []string
	for _, name := range p.names(dir) {
		if compatCuda().MatchString(name) {
			found = append(found, name)
		}
		if compatName().MatchString(name) {
			links = append(links, Link{dir + "/" + name, NvidiaLibraryDir + "/" + name})
		}
	}
	// Of several nobody can say which one the link of the soname means.
	if len(found) != 1 {
		return "", nil
	}
	lib, err := p.open(path.Join(dir, found[0]), unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return "", nil
	}
	defer lib.Close()
	if !host.wants(lib, compatCuda().FindStringSubmatch(found[0])[1]) {
		return "", nil
	}
	return dir, links
}

// compatNote is what the note of a libcuda for forward compatibility says.
type compatNote struct {
	CUDA   string `json:"CUDA Version"`
	Driver []int  // branches of the host's driver with which it works
}

// wants says whether a libcuda of this version is to be used on the host. One without a note is, if its branch is newer.
func (c Compat) wants(lib io.ReaderAt, version string) bool {
	driver := branch(c.Driver)
	note := readCompatNote(lib)
	switch {
	case note != nil && driver > 0:
		return slices.Contains(note.Driver, driver) && CompareVersions(version, c.Driver) > 0
	case note != nil:
		return c.CUDA != "" && note.CUDA != "" && CompareVersions(note.CUDA, c.CUDA) > 0
	case c.CUDA != "":
		return false
	}
	return driver > 0 && driver < branch(version)
}

// branch is the first number of a driver's version; 0 where it has none.
func branch(version string) int {
	n, err := strconv.Atoi(strings.SplitN(version, ".", 2)[0])
	if err != nil {
		return 0
	}
	return n
}

// CompareVersions compares number by number; what is missing is 0, and what is no number is 0 too.
func CompareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		var x, y int
		if i < len(as) {
			x, _ = strconv.Atoi(as[i])
		}
		if i < len(bs) {
			y, _ = strconv.Atoi(bs[i])
		}
		if x != y {
			return x - y
		}
	}
	return 0
}

const (
	compatSection = ".note.cuda.fwd_compatibility"
	compatOwner   = "NVIDIA Corporation"
	maxNote       = 64 << 10 // a few hundred bytes are usual
)

// readCompatNote reads the note of a library; nil where it has none that can be read.
func readCompatNote(lib io.ReaderAt) *compatNote {
	f, err := elf.NewFile(lib)
	if err != nil {
		return nil
	}
	s := f.Section(compatSection)
	if s == nil || s.Type != elf.SHT_NOTE || s.Size < 12 || s.Size > maxNote {
		return nil
	}
	data, err := s.Data()
	if err != nil || len(data) < 12 {
		return nil
	}
	// A note is the lengths of a name and of a text, a type, the name, filled up, and the text.
	name, text := uint64(f.ByteOrder.Uint32(data)), uint64(f.ByteOrder.Uint32(data[4:]))
	fill := max(s.Addralign, 1)
	at := 12 + (name+fill-1)/fill*fill
	if name == 0 || fill > maxNote || at+text > uint64(len(data)) || string(bytes.Trim(data[12:12+name], "\x00")) != compatOwner {
		return nil
	}
	var note compatNote
	if json.Unmarshal(bytes.Trim(data[at:at+text], "\x00"), &note) != nil {
		return nil
	}
	return &note
}
