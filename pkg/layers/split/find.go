// Finding the distributions of a snapshot by their own lists.

package split

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Distribution is an installed Python distribution, or a conda package, of a snapshot: the files that its own list
// claims (dist-info/RECORD, conda-meta/*.json) and that are there. A list only hints at what belongs together: a file
// that two lists claim, or whose other names lie elsewhere, belongs to no distribution.
type Distribution struct {
	Name  string   // "torch 2.8.0"
	List  string   // path of the list
	Files []string // paths in the snapshot, of anything but directories, in no order
	Size  int64    // bytes of the files
}

const (
	maxClaims = 1 << 19 // names on all lists of a snapshot, which take some 100 MB of memory
	contested = -1
)

// Find finds the distributions of the snapshot directory root, sorted by the paths of their lists.
func Find(root string) ([]*Distribution, error) {
	f := &finder{root: root, claims: map[string]int{}, links: map[uint64]*linked{}}
	err := f.readLists()
	if err == nil && len(f.found) > 0 {
		err = f.walk("", f.file)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for distributions: %w", err)
	}
	f.unlink()
	return f.found, nil
}

type finder struct {
	root   string          // the snapshot directory
	found  []*Distribution // sorted as their lists are
	claims map[string]int  // path -> index in found, or contested
	listed int             // names on the lists that were read
	links  map[uint64]*linked
}

// linked counts the names that one distribution has of a file with more names than one.
type linked struct {
	owner int
	names []string
	nlink uint64
}

// walk calls fn for all below dir that is no directory, in the order of the disk. No link is followed: what a list says
// decides no path that is opened.
func (f *finder) walk(dir string, fn func(name string, d fs.DirEntry) error) error {
	open, err := os.Open(f.root + dir)
	if err != nil {
		return err
	}
	defer open.Close()
	var below []string
	for err == nil {
		var some []fs.DirEntry
		some, err = open.ReadDir(1024)
		for _, d := range some {
			if d.IsDir() {
				below = append(below, d.Name())
			} else if err := fn(dir+"/"+d.Name(), d); err != nil {
				return err
			}
		}
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	open.Close()
	for _, name := range below {
		if err := f.walk(dir+"/"+name, fn); err != nil {
			return err
		}
	}
	return nil
}

// readLists takes the claims of all files that are lists.
func (f *finder) readLists() error {
	var lists []string
	err := f.walk("", func(name string, d fs.DirEntry) error {
		if _, ok := installer.ListAt(name); ok && d.Type().IsRegular() {
			lists = append(lists, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(lists, func(a, b string) int { // as a walk in order has them
		return strings.Compare(strings.ReplaceAll(a, "/", "\x00"), strings.ReplaceAll(b, "/", "\x00"))
	})
	for _, name := range lists {
		if err := f.list(name); err != nil {
			return err
		}
	}
	return nil
}

// list takes the claims of a file that is a list. A broken list claims nothing, nor does one that is too long: its
// distribution is not split.
func (f *finder) list(name string) error {
	list, _ := installer.ListAt(name)
	file, err := os.OpenFile(f.root+name, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	names, err := readList(file, list, maxClaims-f.listed)
	if err != nil {
		return nil
	}
	f.listed += len(names)
	owner := len(f.found)
	f.found = append(f.found, &Distribution{Name: printable(list.Title), List: name})
	f.claim(name, owner)
	for _, n := range names {
		if !path.IsAbs(n) {
			n = path.Join(path.Dir(path.Dir(name)), n)
		}
		f.claim(path.Clean(n), owner)
	}
	return nil
}

// claim notes that a list has a name. A name on two lists is contested, and stays with the rest.
func (f *finder) claim(name string, owner int) {
	if before, ok := f.claims[name]; ok && before != owner {
		owner = contested
	}
	f.claims[name] = owner
}

// file gives a file to the distribution that claims it.
func (f *finder) file(name string, _ fs.DirEntry) error {
	owner, ok := f.owner(name)
	if !ok || owner == contested {
		return nil
	}
	e, err := rootfs.Lstat(f.root+name, name)
	if err != nil {
		return err
	}
	if e.IsWhiteout() || e.Type() == unix.S_IFSOCK || strings.HasPrefix(e.Name, rootfs.WhiteoutPrefix) {
		return nil
	}
	dist := f.found[owner]
	dist.Files = append(dist.Files, name)
	dist.Size += e.Size
	if e.Nlink > 1 {
		l := f.links[e.Ino]
		if l == nil {
			l = &linked{owner: owner, nlink: e.Nlink}
			f.links[e.Ino] = l
		}
		if l.owner != owner {
			l.nlink = 0
		}
		l.names = append(l.names, name)
	}
	return nil
}

// owner says who claims a file. Byte code that no list has is that of its source: uv and imports make some.
func (f *finder) owner(name string) (int, bool) {
	owner, ok := f.claims[name]
	if ok || !strings.HasSuffix(name, ".pyc") {
		return owner, ok
	}
	dir, base := path.Split(name)
	if path.Base(path.Clean(dir)) != "__pycache__" {
		return 0, false
	}
	module, _, _ := strings.Cut(base, ".")
	owner, ok = f.claims[path.Join(path.Dir(path.Clean(dir)), module+".py")]
	return owner, ok
}

// unlink takes files away whose names do not all belong to one distribution: a link must be in one layer with its target.
func (f *finder) unlink() {
	gone := map[string]bool{}
	for _, l := range f.links {
		if uint64(len(l.names)) == l.nlink {
			continue
		}
		for _, n := range l.names {
			gone[n] = true
		}
	}
	if len(gone) == 0 {
		return
	}
	for _, dist := range f.found {
		dist.Files = slices.DeleteFunc(dist.Files, func(n string) bool { return gone[n] })
	}
}
