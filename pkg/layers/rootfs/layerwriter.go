// Writing a layer from a description of what changes: no file of it needs to be in a snapshot.

package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
)

// LayerWriter writes the tar of a layer over the files below it. It is told of each directory before what is in it, and of
// the names of a directory in their order; what is the same below it leaves out.
type LayerWriter struct {
	differ *differ
	dirs   []openDir               // those that were entered, from the root
	refuse func(name string) error // says which names the layer must not have; nil: all may be in it
}

// openDir is a directory that is being written.
type openDir struct {
	below *Entry // the directory that it is merged with, nil if there is none
	depth int    // the length of differ.open before it was entered
}

// WriteLayer writes the tar of the layer that fill tells.
func WriteLayer(ctx context.Context, w io.Writer, o DiffOptions, fill func(*LayerWriter) error) error {
	d := newDiffer(ctx, w, o)
	root := &Entry{Name: "/", Path: "/", Mode: unix.S_IFDIR}
	if err := fill(&LayerWriter{differ: d, dirs: []openDir{{below: root}}}); err != nil {
		return err
	}
	return d.tar.Close()
}

// Refuse has check look at each name that is put. Its error is that of Put.
func (w *LayerWriter) Refuse(check func(name string) error) { w.refuse = check }

// Lower returns the files below the layer.
func (w *LayerWriter) Lower() *View { return w.differ.o.Lower }

func (w *LayerWriter) top() openDir { return w.dirs[len(w.dirs)-1] }

// Enter starts a directory in the one that was entered last.
func (w *LayerWriter) Enter(e *Entry) error { return w.enter(e, false) }

// enter is Enter of a directory that may hide what is below it.
func (w *LayerWriter) enter(e *Entry, opaque bool) error {
	d := w.differ
	if strings.HasPrefix(e.Name, WhiteoutPrefix) {
		return hint.Errorf("rename it", "%s: %w", e.Path, errWhiteoutName)
	}
	next := openDir{depth: len(d.open)}
	if w.top().below != nil {
		below, err := d.o.Lower.Lstat(e.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil && below.IsDir() {
			next.below = below
		}
	}
	w.dirs = append(w.dirs, next)
	if err := d.enter(e, next.below); err != nil {
		return fmt.Errorf("%s: %w", e.Path, err)
	}
	if opaque && next.below != nil {
		w.dirs[len(w.dirs)-1].below = nil
		d.o.Index.fail() // it is not told of marks
		return d.hideBelow(e)
	}
	return nil
}

// Leave ends the directory that was entered last.
func (w *LayerWriter) Leave() {
	w.differ.leave(w.top().depth)
	w.dirs = w.dirs[:len(w.dirs)-1]
}

// Put writes anything but a directory.
func (w *LayerWriter) Put(e *Entry) error {
	if w.differ.ctx.Err() != nil {
		return context.Cause(w.differ.ctx)
	}
	if w.refuse != nil {
		if err := w.refuse(e.Path); err != nil {
			return err
		}
	}
	if err := w.differ.entry(e, place{}, w.top().below); err != nil {
		return fmt.Errorf("%s: %w", e.Path, err)
	}
	return nil
}
