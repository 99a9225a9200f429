// This file owns how files become a tree that lie beside a place already: they are moved there, so that nothing is written twice.

package snapshotter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/filecopy"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Loose is a directory with the files of a snapshot, on the filesystem of a place, until a tree takes them. It is the Contents of an index
// of them.
type Loose struct {
	fetch func() (dir string, err error) // brings the files elsewhere once more

	mu  sync.Mutex
	dir string // empty: they were taken
}

// NewLoose is a directory that nobody else needs. fetch returns one with the same files, when they are read after they were taken.
func NewLoose(dir string, fetch func() (string, error)) *Loose { return &Loose{fetch: fetch, dir: dir} }

// Want implements rootfs.Contents.
func (l *Loose) Want(string) {}

// Open implements rootfs.Contents.
func (l *Loose) Open(name string) (*os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	dir := l.dir
	if dir == "" {
		var err error
		if dir, err = l.fetch(); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path.Join(dir, name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}

// Take returns where the files are, for who moves or removes them.
func (l *Loose) Take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	dir := l.dir
	l.dir = ""
	return dir
}

// IsHere says whether the files were not taken yet.
func (l *Loose) IsHere() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dir != ""
}

// Adopted is a snapshot that becomes a part of a tree.
type Adopted struct {
	From   *Loose
	Hiding []string // the paths of its whiteouts and opaque directories
}

// Adopt replaces what is in the place, but for what is kept, by the files of a view: loose ones, the lowest first, and those of the
// directories above them. Nothing is changed where the view has something in the place of a foreign file.
func (p Place) Adopt(ctx context.Context, v *rootfs.View, all []Adopted, above []string) (*Copy, error) {
	c, err := p.clean(v)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		dir := one.From.Take()
		a := adoption{copy: c, ctx: ctx, from: dir, hides: map[string]bool{}, above: map[string]bool{}}
		for _, name := range one.Hiding {
			a.hides[name] = true
			for ; name != "/"; name = path.Dir(name) {
				a.above[name] = true
			}
		}
		if err := a.directory("/"); err != nil {
			return nil, fmt.Errorf("taking over %s: %w", dir, err)
		}
		if err := RemoveAll(dir); err != nil { // little is left in it
			return nil, err
		}
	}
	return c, c.Follow(ctx, v, Turn{Entered: above})
}

// adoption moves one snapshot into a tree, over those below it.
type adoption struct {
	copy  *Copy
	ctx   context.Context
	from  string
	hides map[string]bool // see Adopted
	above map[string]bool // these paths, and those of the directories that they are in
}

// directory moves what is in a directory of the snapshot into that of the tree, and gives that what the first one has beside.
func (a *adoption) directory(name string) error {
	if a.ctx.Err() != nil {
		return context.Cause(a.ctx)
	}
	names, err := namesIn(a.from + name)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(a.from+name, &st); err != nil {
		return err
	}
	if err := makeWritable(a.copy.dir + name); err != nil {
		return err
	}
	for _, base := range names {
		if err := a.entry(path.Join(name, base)); err != nil {
			return err
		}
	}
	return filecopy.Metadata(a.from+name, a.copy.dir+name, &st, rootfs.Stacks)
}

// entry moves what is at a name.
func (a *adoption) entry(name string) error {
	if a.copy.kept.has(name) {
		return nil
	}
	f, err := factOf(a.from + name)
	if err != nil {
		return err
	}
	there, err := factOf(a.copy.dir + name)
	if err != nil && !isGone(err) {
		return err
	}
	exists := err == nil
	if f.isDir() && exists && there.isDir() && !a.hides[name] {
		return a.directory(name)
	}
	if exists {
		if err := a.copy.remove(name); err != nil {
			return err
		}
	}
	switch {
	case a.hides[name] && !f.isDir(): // a whiteout
		return nil
	case a.copy.kept.above(name) && !f.isDir(): // something else is there in the end
		return nil
	case f.isDir() && (a.above[name] || a.copy.kept.above(name)):
		return a.remade(name)
	}
	return rename(a.from, a.copy.dir, name, f.isDir())
}

// remade makes a directory that cannot be moved as a whole.
func (a *adoption) remade(name string) error {
	if err := os.Mkdir(a.copy.dir+name, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return a.directory(name)
}
