// Writing snapshots as the tar of a layer: which names are written. How an entry is written is in diffentry.go.

package rootfs

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// DiffOptions says how a layer is written. All may be left out.
type DiffOptions struct {
	// Lower is what the layer lies on: what is the same there is left out.
	Lower *View
	// Epoch is the latest time (Unix seconds) that anything in the tar has: later ones are set to it.
	Epoch *int64
	// Alone leaves the root directory out, whatever it is: the layer is made for any place.
	Alone bool
	// Apart is what is in layers of its own, which lie between Lower and this one.
	Apart *Apart
	// Index is told what is written.
	Index *Indexer
}

// WriteDiff writes snapshot directories (overlay upper directories), the uppermost first, as the tar of one layer. The tar
// depends on nothing but the names, content, modes, owners, attributes and whole seconds of the files: names are sorted,
// headers are plain where they can be. Sockets are left out, as in every image.
func WriteDiff(ctx context.Context, w io.Writer, snapshots []string, o DiffOptions) error {
	if err := newDiffer(ctx, w, o).snapshots(snapshots); err != nil {
		return fmt.Errorf("writing a layer: %w", err)
	}
	return nil
}

// snapshots writes all of a layer.
func (d *differ) snapshots(dirs []string) error {
	root, err := Lstat(dirs[0], "/")
	if err != nil {
		return err
	}
	below, err := d.o.Lower.Lstat("/")
	if err != nil {
		return err
	}
	same, err := d.sameMetadata(root, below)
	if err == nil && !same && !d.o.Alone {
		err = d.header(root, nil, nil)
	}
	if err == nil {
		err = d.children(root, newPlace(dirs), below)
	}
	if err != nil {
		return err
	}
	return d.tar.Close()
}

// place is where a directory is in the snapshots, the uppermost first.
type place struct {
	dirs   []string
	opaque bool // it hides what lies below the snapshots
}

// newPlace returns the place of the root directory of snapshots.
func newPlace(dirs []string) place {
	for i, dir := range dirs {
		if IsOpaque(dir) {
			return place{dirs[:i+1], true}
		}
	}
	return place{dirs, false}
}

// find returns the uppermost entry of a name and, if it is a directory, the place that it is merged of.
func (p place) find(dir *Entry, name string) (top *Entry, in place, err error) {
	for _, d := range p.dirs {
		e, err := Lstat(d+"/"+name, path.Join(dir.Path, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, in, err
		}
		if top == nil {
			top = e
		}
		if !e.IsDir() {
			in.opaque = true
			break
		}
		in.dirs = append(in.dirs, e.source)
		if in.opaque = IsOpaque(e.source); in.opaque || !top.IsDir() {
			break
		}
	}
	if top == nil {
		return nil, in, notExist("lstat", path.Join(dir.Path, name))
	}
	return top, in, nil
}

// differ writes the tar of a layer.
type differ struct {
	ctx   context.Context
	tar   *tar.Writer
	files codec.FileWriter // the writer below the tar, if it wants to be told of large files
	o     DiffOptions

	// byName says that what lies below is hidden name by name, and not by a mark on a directory above. A mark would hide what is in
	// layers of its own, too.
	byName bool
	// names has the name in the tar of each file that has more names than one, by its inode. The other names become hard links.
	names map[[2]uint64]string
	// open are the directories on the way which are the same below: they are written only if something in them is.
	open []*Entry

	buffer []byte // holds a piece of a file while it is copied
}

func newDiffer(ctx context.Context, w io.Writer, o DiffOptions) *differ {
	if o.Lower == nil {
		o.Lower = NewView()
	}
	files, _ := w.(codec.FileWriter)
	return &differ{ctx: ctx, tar: tar.NewWriter(w), files: files, o: o, names: map[[2]uint64]string{}}
}

// children writes what is in the directory dir. below is the directory that it is merged with, nil if there is none.
func (d *differ) children(dir *Entry, in place, below *Entry) error {
	var names Names
	if err := names.readDirs(in.dirs); err != nil {
		return err
	}
	if below != nil && in.opaque || below == nil && d.byName {
		outer := d.byName
		defer func() { d.byName = outer }()
		d.byName = d.o.Apart.under(dir.Path)
		if err := d.hideBelow(dir); err != nil {
			return err
		}
		below = nil
	}
	for name := range names.All() {
		if err := d.ctx.Err(); err != nil {
			return context.Cause(d.ctx)
		}
		e, within, err := in.find(dir, name)
		if err != nil {
			return err
		}
		if err := d.entry(e, within, below); err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
	}
	return nil
}

// hideBelow marks an opaque directory, if there is anything in it to be hidden: the kernel makes almost every new
// directory opaque. The mark would hide what is in layers of its own, too; then each name is marked.
func (d *differ) hideBelow(dir *Entry) error {
	for e, err := range d.o.Lower.Entries(dir.Path) {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !d.byName {
			return d.marker(path.Join(dir.Path, whiteoutOpaque))
		}
		above, err := Lstat(dir.source+"/"+e.Name, e.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil && !above.IsWhiteout() && above.Type() != unix.S_IFSOCK {
			continue
		}
		if err := d.marker(path.Join(dir.Path, WhiteoutPrefix+e.Name)); err != nil {
			return err
		}
	}
	return nil
}

var errWhiteoutName = errors.New("a name that starts with .wh. cannot be put into a layer: it would remove a file")

// entry writes one name of a directory whose counterpart below is parent.
func (d *differ) entry(e *Entry, in place, parent *Entry) error {
	var below *Entry
	if parent != nil {
		var err error
		if below, err = d.o.Lower.Lstat(e.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	switch {
	case e.IsWhiteout() && below == nil:
		return nil
	case e.IsWhiteout():
		return d.marker(path.Join(path.Dir(e.Path), WhiteoutPrefix+e.Name))
	case strings.HasPrefix(e.Name, WhiteoutPrefix):
		return hint.Wrap(errWhiteoutName, "rename it")
	case e.Type() == unix.S_IFSOCK:
		return nil
	case e.IsDir():
		return d.directory(e, in, below)
	case d.o.Apart.holds(e.Path):
		return nil
	}
	same, err := d.same(e, below)
	if err != nil || same {
		return err
	}
	return d.file(e)
}

// directory writes a directory, if there is something to be said of it, and what is in it.
func (d *differ) directory(e *Entry, in place, below *Entry) error {
	if below != nil && !below.IsDir() {
		below = nil
	}
	depth := len(d.open)
	if err := d.enter(e, below); err != nil {
		return err
	}
	if err := d.children(e, in, below); err != nil {
		return err
	}
	d.leave(depth)
	return nil
}

// enter starts a directory, which is written at once if it is not what it is below.
func (d *differ) enter(e, below *Entry) error {
	same, err := d.sameMetadata(e, below)
	if err != nil {
		return err
	}
	d.open = append(d.open, e)
	if d.o.Apart.under(e.Path) {
		same = d.time(e.ModTime).Equal(d.time(time.Unix(SettledTime, 0)))
	}
	if same {
		return nil
	}
	return d.flush()
}

// leave ends a directory, before which so many were open.
func (d *differ) leave(depth int) {
	d.open = d.open[:min(depth, len(d.open))]
}
