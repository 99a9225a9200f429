// This file owns the copying of the files of a view to a directory, and what a directory needs for that.

package snapshotter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/filecopy"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// copier copies files of one view into one directory.
type copier struct {
	ctx    context.Context
	view   *rootfs.View
	to     string
	kept   *Kept
	copies *filecopy.Copier
}

func newCopier(ctx context.Context, v *rootfs.View, to string, kept *Kept) *copier {
	return &copier{ctx: ctx, view: v, to: to, kept: kept, copies: filecopy.New(rootfs.Stacks)}
}

// tree copies the directory at name, with all that is in it. A directory that is there is filled. Files are copied side by side; what
// directories have of their own follows when nothing is made in them any more, of the inner ones first.
func (c *copier) tree(e *rootfs.Entry) error {
	group, ctx := errgroup.WithContext(c.ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	var dirs []*rootfs.Entry
	err := c.below(ctx, e, group, &dirs)
	if failed := group.Wait(); failed != nil { // it has ended the rest
		return failed
	}
	if err != nil {
		return err
	}
	for _, dir := range slices.Backward(dirs) {
		if err := c.metadata(dir); err != nil {
			return err
		}
	}
	return nil
}

// below makes a directory and what is in it, and notes the directories, each before those in it.
func (c *copier) below(ctx context.Context, e *rootfs.Entry, group *errgroup.Group, dirs *[]*rootfs.Entry) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := os.Mkdir(c.to+e.Path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	*dirs = append(*dirs, e)
	for child, err := range c.view.Entries(e.Path) {
		switch {
		case err != nil:
		case c.kept.has(child.Path):
		case child.IsDir():
			err = c.below(ctx, child, group, dirs)
		case child.Nlink > 1: // one of its names is copied before the others are linked to that
			err = c.file(child)
		default:
			group.Go(func() error { return c.file(child) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// entry copies what is at a name, to where nothing is, or a directory that is kept.
func (c *copier) entry(e *rootfs.Entry) error {
	if e.IsDir() {
		return c.tree(e)
	}
	return c.file(e)
}

// ErrElsewhere says that a file of a view cannot be copied, since only an index of it is here.
var ErrElsewhere = errors.New("the file is not in a directory")

// metadata gives a copy what the original has beside its content. A view of nothing has a root that is nowhere.
func (c *copier) metadata(e *rootfs.Entry) error {
	if e.Source() == "" && e.Content == nil {
		return unix.Chmod(c.to+e.Path, e.Mode&0o7777)
	}
	if e.Source() == "" {
		return c.fromIndex(e)
	}
	var st unix.Stat_t
	if err := unix.Lstat(e.Source(), &st); err != nil {
		return err
	}
	return filecopy.Metadata(e.Source(), c.to+e.Path, &st, rootfs.Stacks)
}

// fromIndex gives a directory what an index has of it. It takes nothing from it: that needs more than an index.
func (c *copier) fromIndex(e *rootfs.Entry) error {
	if !e.IsDir() {
		return ErrElsewhere
	}
	wanted, err := e.Xattrs()
	if err != nil {
		return err
	}
	there, err := filecopy.Attributes(c.to+e.Path, rootfs.Stacks)
	if err != nil {
		return err
	}
	for _, name := range there {
		if _, known := wanted[name]; !known && (rootfs.PortableXattr(name) || strings.HasPrefix(name, "system.")) {
			return ErrElsewhere
		}
	}
	return rootfs.GiveMetadata(e, c.to+e.Path)
}

// file copies what is no directory, to where nothing is.
func (c *copier) file(e *rootfs.Entry) error {
	from, target := e.Source(), c.to+e.Path
	if from == "" {
		return ErrElsewhere
	}
	var st unix.Stat_t
	if err := unix.Lstat(from, &st); err != nil {
		return err
	}
	if err := c.copies.File(from, target, &st); err != nil {
		return fmt.Errorf("copying %s: %w", e.Path, err)
	}
	return nil
}

// RemoveAll removes a tree. A directory that keeps its owner from writing to it keeps root from nothing, but an ordinary user.
func RemoveAll(name string) error {
	err := os.RemoveAll(name)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = fs.WalkDir(os.DirFS(path.Dir(name)), path.Base(name), func(inside string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = makeWritable(path.Join(path.Dir(name), inside))
		}
		return nil
	})
	return os.RemoveAll(name)
}

// makeWritable lets an ordinary user write into a directory of his own. The mode that it is to have is set later.
func makeWritable(dir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unix.ENOTDIR
	}
	if os.Geteuid() == 0 || st.Mode&0o700 == 0o700 {
		return nil
	}
	return unix.Chmod(dir, st.Mode&0o7777|0o700)
}
