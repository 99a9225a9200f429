package layers

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// IndexView returns the files of a state whose snapshots have these indexes, the uppermost first. Their content is elsewhere:
// the error of opening one is ErrNoContent.
func IndexView(indexes ...[]byte) (*View, error) {
	v := &View{}
	for i, data := range indexes {
		x, err := readIndex(data)
		if err != nil {
			return nil, err
		}
		v.indexes = append(v.indexes, x)
		v.dirs = append(v.dirs, strconv.Itoa(i))
	}
	return v, nil
}

// lstat is lstat of a file in a snapshot, or in an index: there source is the number of the index and the path.
func (v *View) lstat(source, name string) (*Entry, error) {
	if v.indexes == nil {
		return lstat(source, name)
	}
	x := v.indexed(source)
	if x == nil {
		return nil, notExist("lstat", name)
	}
	e := &x.entry
	e.Name, e.Path, e.Content, e.source = path.Base(name), name, x, source
	return e, nil
}

func (v *View) isOpaque(source string) bool {
	if v.indexes == nil {
		return isOpaque(source)
	}
	x := v.indexed(source)
	return x != nil && x.opaque
}

func (v *View) indexed(source string) *indexed {
	number, name, _ := strings.Cut(source, "/")
	i, err := strconv.Atoi(number)
	if err != nil {
		return nil
	}
	return v.indexes[i].lookup(strings.TrimSuffix(name, "/"))
}

// filesKind is the kind of the records that keep indexes, under the layers of the snapshot, and of who says so.
const filesKind = "index"

// indexName names an index by the layers of the snapshot: its content. from is zero for what this store has made itself.
func indexName(all []v1.Layer, from Key) (Key, error) {
	h := sha256.New()
	if !from.IsZero() {
		fmt.Fprintln(h, "from", from)
	}
	for _, l := range all {
		id, err := l.DiffID()
		if err != nil {
			return Key{}, err
		}
		fmt.Fprintln(h, id)
	}
	return Key(h.Sum(nil)), nil
}

// Index returns the index that is remembered of a snapshot with these layers: the one that was made here, or, with from,
// the one that was kept from there.
func (s *Store) Index(all []v1.Layer, from Key) ([]byte, bool) {
	name, err := indexName(all, from)
	if err != nil {
		return nil, false
	}
	return s.Recall(filesKind, name)
}

// MakeIndex makes and remembers the index of the snapshot of k, which has these layers. It must run where the owners of files
// are what they are in the image, as Draft must. With sums all files are read, for COPY to compare its own with. The error
// is a *NotFoundError where the files are not here.
func (s *Store) MakeIndex(ctx context.Context, k Key, all []v1.Layer, sums bool) ([]byte, error) {
	if !s.Has(k) || !s.hasFiles(k) {
		return nil, &NotFoundError{Kind: "snapshot", Name: k.String()}
	}
	name, err := indexName(all, Key{})
	if err != nil {
		return nil, err
	}
	return s.indexDirectory(ctx, s.snapshot(k, "fs"), name, sums)
}

func (s *Store) indexDirectory(ctx context.Context, dir string, name Key, sums bool) ([]byte, error) {
	w := indexWriter{sums: sums}
	err := w.directory(ctx, dir, "")
	var data []byte
	if err == nil {
		data, err = w.pack()
	}
	if err != nil {
		return nil, fmt.Errorf("making an index: %w", err)
	}
	return data, s.Remember(filesKind, name, data)
}

// KeepIndex remembers an index from elsewhere, apart from those that were made here.
func (s *Store) KeepIndex(all []v1.Layer, from Key, data []byte) error {
	name, err := indexName(all, from)
	if err == nil {
		_, err = readIndex(data)
	}
	if err != nil {
		return err
	}
	return s.Remember(filesKind, name, data)
}

// keepIndex remembers the index that w made of a layer, if it could.
func (s *Store) keepIndex(w *indexWriter, r layerRecord) error {
	data, err := w.pack()
	if err != nil {
		return nil // it would only have saved time
	}
	name, err := indexName([]v1.Layer{&storedLayer{store: s, record: r}}, Key{})
	if err != nil {
		return err
	}
	return s.Remember(filesKind, name, data)
}

// top returns the root directory of the uppermost snapshot that says something of it.
func (v *View) top() (e *Entry, err error) {
	for _, dir := range v.dirs {
		if e, err = v.lstat(dir, "/"); !isNotExist(err) {
			return e, err
		}
	}
	return &Entry{Name: "/", Path: "/", Mode: unix.S_IFDIR | 0o755}, nil
}
