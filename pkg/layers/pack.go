package layers

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/internal/hint"
)

// ErrForeignOwner says that a file belongs to an id that only a namespace of the build can name.
var ErrForeignOwner = errors.New("the file belongs to another user")

// ErrMaySplit says that a snapshot has Python distributions, and so may become several layers.
var ErrMaySplit = errors.New("the files may be several layers")

var errPacked = errors.New("its files are not unpacked")

// LayerWriter writes the tar of a layer over the files below it. It is told of each directory before what is in it, and of
// the names of a directory in their order; what is the same below it leaves out.
type LayerWriter struct {
	differ *differ
	dirs   []openDir // those that were entered, from the root
	split  bool      // the layer is refused if it has a list of a Python distribution
}

// openDir is a directory that is being written.
type openDir struct {
	below *Entry // what it is merged with, nil if there is nothing
	depth int    // of the differ, before it was entered
}

// Lower returns the files below the layer.
func (w *LayerWriter) Lower() *View { return w.differ.lower }

func (w *LayerWriter) top() openDir { return w.dirs[len(w.dirs)-1] }

// Enter starts a directory in the one that was entered last.
func (w *LayerWriter) Enter(e *Entry) error {
	d := w.differ
	if strings.HasPrefix(e.Name, whiteoutPrefix) {
		return hint.Errorf("rename it", "%s: %w", e.Path, errWhiteoutName)
	}
	next := openDir{depth: len(d.open)}
	if w.top().below != nil {
		below, err := d.lower.Lstat(e.Path)
		if err != nil && !isNotExist(err) {
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
	if _, list := listKind(e.Path); list != nil && w.split {
		return ErrMaySplit
	}
	if err := w.differ.entry(e, place{}, w.top().below); err != nil {
		return fmt.Errorf("%s: %w", e.Path, err)
	}
	return nil
}

// Pack makes the state k over parent as its layer only: fill tells what changes, and nothing is written but the blob. lower
// has the files that the layer is written over. The state's own are unpacked when they are needed (see Expand); where parent
// is not here, only Layers knows k. Seen from outside of a namespace, the caller's own files below
// are root's; the error is ErrForeignOwner where others matter, and ErrMaySplit where Layers could make several.
func (s *Store) Pack(ctx context.Context, k, parent Key, lower *View, o LayerOptions, fill func(*LayerWriter) error) error {
	lower.own = lower.indexes == nil && os.Geteuid() != 0
	held, err := durable.Lock(ctx, s.path("locks", k.String()+".layer"), durable.Exclusive)
	if err != nil {
		return fmt.Errorf("packing %s: %w", k, err)
	}
	defer held.Close()
	below := s.Has(parent)
	if s.Has(k) || !below && s.HasLayers(k, o) {
		return nil
	}
	names := indexWriter{sums: true}
	r, err := s.pack(ctx, packing{Compression: o.Compression, from: sendFrom, report: o.Report}, func(w io.Writer) error {
		d := newDiffer(ctx, w, lower, DiffOptions{Epoch: o.Epoch})
		if o.Index {
			d.index = &names
		}
		root := &Entry{Name: "/", Path: "/", Mode: unix.S_IFDIR}
		if err := fill(&LayerWriter{differ: d, dirs: []openDir{{below: root}}, split: o.Max > 1}); err != nil {
			return err
		}
		return d.tar.Close()
	})
	if err == nil && o.Index {
		err = s.keepIndex(&names, r)
	}
	if err == nil {
		err = s.rememberLayer(o.kind(), k, r)
	}
	if err != nil || !below {
		return s.explain(err)
	}
	return s.commitPacked(ctx, k, meta{Parent: parent, Packed: &r})
}

// commitPacked gives a snapshot without files its name. It needs no mark: what a crash of the machine cuts off of meta.json
// is as good as no snapshot, and so is one whose layer is dropped.
func (s *Store) commitPacked(ctx context.Context, k Key, m meta) error {
	draft := s.path("drafts", rand.Text())
	held, err := durable.Lock(ctx, draft+".lock", durable.Exclusive)
	if err != nil {
		return fmt.Errorf("committing %s: %w", k, err)
	}
	defer held.Close()
	defer os.Remove(draft + ".lock")
	defer os.RemoveAll(draft)
	data, err := json.Marshal(m)
	if err == nil {
		err = os.MkdirAll(draft+"/snap", 0o700)
	}
	if err == nil {
		err = durable.Replace(draft+"/snap/meta.json", data)
	}
	if err == nil {
		err = s.rename(draft+"/snap", k)
	}
	if err != nil {
		return fmt.Errorf("committing %s: %w", k, err)
	}
	s.Has(k)
	return nil
}

// hasFiles says whether the files of a committed snapshot are unpacked.
func (s *Store) hasFiles(k Key) bool {
	_, err := os.Lstat(s.snapshot(k, "fs"))
	return err == nil
}

// Unpacked says whether all files of the state k are there, so that View shows them: Expand would do nothing.
func (s *Store) Unpacked(k Key) bool {
	_, err := s.stack(k)
	return err == nil
}

// Expand unpacks what of the state k is packed. It must run where the owners of files can be set, as Draft must.
func (s *Store) Expand(ctx context.Context, k Key) error {
	if !s.Has(k) { // whoever reads the files says so
		return nil
	}
	var packed []Key
	for depth := 0; !k.IsZero() && depth < maxStack; depth++ {
		m, err := s.heldMeta(k)
		if err != nil {
			return err
		}
		if m.Packed != nil && !s.hasFiles(k) {
			packed = append(packed, k)
		}
		k = m.Parent
	}
	for _, k := range slices.Backward(packed) {
		if err := s.expand(ctx, k); err != nil {
			return fmt.Errorf("unpacking %s: %w", k, s.explain(err))
		}
	}
	return nil
}

// expand unpacks the layer of one snapshot. Its fs appears at once, when all of it is on the disk.
func (s *Store) expand(ctx context.Context, k Key) error {
	held, err := durable.Lock(ctx, s.path("locks", k.String()), durable.Exclusive)
	if err != nil {
		return err
	}
	defer held.Close()
	m, err := s.readMeta(k)
	if err != nil || s.hasFiles(k) {
		return err
	}
	j := &unpackJob{layer: &storedLayer{store: s, record: *m.Packed}, key: k, parent: m.Parent, record: *m.Packed}
	defer j.close()
	u := &unpacking{store: s, key: k, jobs: []*unpackJob{j}}
	if _, err := u.attempt(ctx, j); err != nil {
		return err
	}
	if err := u.finish(0); err != nil {
		return err
	}
	if err := syncFilesystem(s.dir); err != nil {
		return err
	}
	return os.Rename(j.dir+"/fs", s.snapshot(k, "fs"))
}

// toRoot makes an entry of the caller's root's.
func (e *Entry) toRoot() error {
	if e.UID != os.Geteuid() || e.GID != os.Getegid() {
		return fmt.Errorf("%s belongs to %d:%d: %w", e.Path, e.UID, e.GID, ErrForeignOwner)
	}
	e.UID, e.GID = 0, 0
	return nil
}
