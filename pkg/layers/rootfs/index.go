// Making an index, and its format.
//
// An index has every name of a snapshot, whiteouts included, with what lstat and the attributes say, but no content; only of the
// lists of accounts it has that, too, and, of what a COPY made or a layer that was only read, the digests: the next COPY may have
// the same file. With the indexes of all its snapshots a state can be written upon by a COPY or a WORKDIR, while its layers stay
// where they are, and single files of it can be read out of them (Contents).
//
// It is a zstd stream of records. A record is the length of what its name shares with the one before, the rest of the name, then
// mode, owner, size and so on as varints. Names have a NUL for each slash, and none in front, so that their order as bytes is
// that of a walk. Each 16th name is whole: what is looked up is found by bisection.

package rootfs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

const (
	maxIndex     = 64 << 20 // bytes, not compressed: of some 700,000 names. There are no indexes of more.
	indexRestart = 16
	maxAccounts  = 256 << 10 // bytes of a list of accounts
)

// ErrNoContent says that the content of a file is known to be elsewhere only.
var ErrNoContent = errors.New("the content of the file is not here")

var errIndex = errors.New("malformed index")

// accounts are the files that a --chown by name reads.
func accounts(name string) bool { return name == "/etc/passwd" || name == "/etc/group" }

// indexed is what an index says of one name.
type indexed struct {
	entry   Entry
	opaque  bool
	xattrs  map[string][]byte
	content []byte // nil: it is elsewhere
	sum     []byte // what NewContentSum makes of it; nil: unknown
	group   uint64 // the same number for all names of one file; 0: it has one name
	from    Contents
	at      string // its path in the snapshot
}

// indexKey returns the name as it is in records.
func indexKey(name string) string {
	return strings.ReplaceAll(strings.TrimPrefix(name, "/"), "/", "\x00")
}

// pathOf is the path that has the name in records.
func pathOf(key []byte) string { return "/" + strings.ReplaceAll(string(key), "\x00", "/") }

// Indexer makes an index. It is told the names of a snapshot in the order of a walk.
type Indexer struct {
	raw  []byte // the records
	last string // the name in the last one
	n    int    // how many there are
	err  error  // the first one
	sums bool   // digests of files are wanted

	groups map[[2]uint64]*indexed // inode of a file with several names -> what was added under the first of them
}

// NewIndexer begins an index. With sums it has digests of all files that are open when they are added.
func NewIndexer(sums bool) *Indexer {
	return &Indexer{sums: sums, groups: map[[2]uint64]*indexed{}}
}

// add appends a record. The first error stays, and is that of Index.
func (w *Indexer) add(x *indexed) {
	key := indexKey(x.entry.Path)
	switch {
	case w.err != nil:
		return
	case w.n > 0 && key <= w.last:
		w.err = fmt.Errorf("%w: %q after %q", errIndex, key, w.last)
		return
	case len(w.raw) > maxIndex:
		w.err = errors.New("too many names for an index")
		return
	}
	shared := 0
	if w.n%indexRestart != 0 {
		for shared < min(len(key), len(w.last)) && key[shared] == w.last[shared] {
			shared++
		}
	}
	w.raw = binary.AppendUvarint(w.raw, uint64(shared))
	w.bytes([]byte(key[shared:]))
	w.fields(x)
	w.last = key
	w.n++
}

func (w *Indexer) bytes(b []byte) {
	w.raw = append(binary.AppendUvarint(w.raw, uint64(len(b))), b...)
}

// fields appends what follows the name in a record. What there need not be is told by flags.
func (w *Indexer) fields(x *indexed) {
	e, flags := &x.entry, uint64(0)
	for bit, set := range []bool{x.opaque, x.content != nil, x.sum != nil, x.group != 0, e.implied} {
		if set {
			flags |= 1 << bit
		}
	}
	size := e.Size
	if !e.IsRegular() { // that of a directory is a matter of the filesystem
		size = 0
	}
	for _, n := range []uint64{flags, uint64(e.Mode), uint64(e.UID), uint64(e.GID), uint64(size), e.Rdev} {
		w.raw = binary.AppendUvarint(w.raw, n)
	}
	w.raw = binary.AppendVarint(w.raw, e.ModTime.Unix())
	w.bytes([]byte(e.Link))
	w.raw = binary.AppendUvarint(w.raw, uint64(len(x.xattrs)))
	for _, name := range sortedKeys(x.xattrs) {
		w.bytes([]byte(name))
		w.bytes(x.xattrs[name])
	}
	if x.content != nil {
		w.bytes(x.content)
	}
	if x.sum != nil {
		w.bytes(x.sum)
	}
	if x.group != 0 {
		w.raw = binary.AppendUvarint(w.raw, x.group)
	}
}

func sortedKeys(m map[string][]byte) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Index returns the index of what was added.
func (w *Indexer) Index() ([]byte, error) {
	if w.err != nil {
		return nil, w.err
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return z.EncodeAll(w.raw, nil), nil
}

// file adds an entry that a layer has, which may be open as f.
func (w *Indexer) file(e *Entry, f *os.File, xattrs map[string][]byte) error {
	x := &indexed{entry: *e, xattrs: xattrs}
	if first := w.group(x); first != nil {
		x.xattrs, x.content, x.sum = first.xattrs, first.content, first.sum
		w.add(x)
		return nil
	}
	if f != nil && e.IsRegular() && accounts(e.Path) && e.Size <= maxAccounts {
		x.content = make([]byte, e.Size)
		if _, err := f.ReadAt(x.content, 0); err != nil && err != io.EOF {
			return err
		}
	}
	if e.IsRegular() {
		x.sum = e.ContentSum()
	}
	if f != nil && e.IsRegular() && w.sums && x.sum == nil {
		sum, err := contentSum(f, e.Size, xattrs)
		if err != nil {
			return err
		}
		x.sum = sum
	}
	w.add(x)
	return nil
}

// fail makes that there is no index.
func (w *Indexer) fail() {
	if w != nil {
		w.err = errIndex
	}
}

// group gives an entry the number of its file, where that has several names, and returns what is known of the file.
func (w *Indexer) group(x *indexed) (first *indexed) {
	e := &x.entry
	if e.Nlink < 2 || e.IsDir() {
		return nil
	}
	inode := [2]uint64{e.Dev, e.Ino}
	if first = w.groups[inode]; first != nil {
		x.group = first.group
		return first
	}
	x.group = uint64(len(w.groups) + 1)
	w.groups[inode] = x
	return nil
}

// Directory adds all that the directory of a snapshot has.
func (w *Indexer) Directory(ctx context.Context, dir string) error { return w.directory(ctx, dir, "") }

// directory adds what the directory of a snapshot has at name, and all below it.
func (w *Indexer) directory(ctx context.Context, dir, name string) error {
	e, err := Lstat(dir+name, clean(name))
	if err == nil {
		err = w.snapshotFile(e)
	}
	if err != nil || !e.IsDir() {
		return err
	}
	var names Names
	if err := names.readDirs([]string{e.source}); err != nil {
		return err
	}
	for base := range names.All() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.directory(ctx, dir, name+"/"+base); err != nil {
			return err
		}
	}
	return w.err
}

// snapshotFile adds a name of a snapshot. The file is opened only if its content matters.
func (w *Indexer) snapshotFile(e *Entry) error {
	xattrs, err := e.Xattrs()
	if err != nil {
		return err
	}
	if e.IsDir() {
		w.add(&indexed{entry: *e, xattrs: xattrs, opaque: IsOpaque(e.source)})
		return nil
	}
	if !e.IsRegular() || !w.sums && !accounts(e.Path) {
		return w.file(e, nil, xattrs)
	}
	f, err := e.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	return w.file(e, f, xattrs)
}
