package build

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"time"
)

const (
	hashesMagic = "gbuild hashes 2\n"
	hashesDays  = 60 // what is not used for so long is dropped
	hashesChunk = 8192
	// racy is how old a file must be before its hash is believed next time: a file that was written twice within one
	// tick of the filesystem's clock looks unchanged (git calls such entries racy).
	racy = 2 * time.Second
)

// hashes remembers the hashes of files of this machine between builds, so that a context that did not change is only
// listed. A file is known by its path, inode, size and both of its times: who can forge ctime can forge anything.
// A million files take 80 MB: the entries lie side by side, without a pointer.
type hashes struct {
	dir  string // of the context
	file string // where they are kept, sorted by their stamps; empty: nowhere
	now  func() time.Time

	mu     sync.Mutex
	loaded bool
	dirty  bool
	kept   int              // so many of the entries came from the file and are sorted
	chunks [][]hashed       // of hashesChunk entries each, but for the last
	seen   map[uint64]int32 // hash of the path of what was hashed since the context was opened -> its entry
	seed   maphash.Seed
}

type stamp [16]byte

// hashed is one entry, as in the file.
type hashed struct {
	stamp stamp
	sum   [32]byte
	day   [4]byte // of the last use, since 1970, big-endian; 0: too young to be kept
}

func newHashes(dir, file string) *hashes {
	return &hashes{dir: dir, file: file, now: time.Now, seen: map[uint64]int32{}, seed: maphash.MakeSeed()}
}

func (h *hashes) stamp(n *Node) stamp {
	var space [256]byte
	text := frame(space[:0], h.dir, n.Path)
	for _, v := range []uint64{n.Dev, n.Ino, uint64(n.Size), uint64(n.ModTime.UnixNano()), uint64(n.changed)} {
		text = binary.BigEndian.AppendUint64(text, v)
	}
	sum := sha256.Sum256(text)
	return stamp(sum[:16])
}

func (h *hashes) today() (day [4]byte) {
	binary.BigEndian.PutUint32(day[:], uint32(h.now().Unix()/86400))
	return day
}

func (h *hashes) len() int {
	if len(h.chunks) == 0 {
		return 0
	}
	return (len(h.chunks)-1)*hashesChunk + len(h.chunks[len(h.chunks)-1])
}

func (h *hashes) at(i int) *hashed { return &h.chunks[i/hashesChunk][i%hashesChunk] }

func (h *hashes) add(e hashed) {
	if h.len()%hashesChunk == 0 {
		h.chunks = append(h.chunks, make([]hashed, 0, hashesChunk))
	}
	last := &h.chunks[len(h.chunks)-1]
	*last = append(*last, e)
}

// find returns the entry of a stamp: what this context had at that path last, or one of the file.
func (h *hashes) find(path uint64, s stamp) (int, bool) {
	if i, ok := h.seen[path]; ok && h.at(int(i)).stamp == s {
		return int(i), true
	}
	return sort.Find(h.kept, func(i int) int { return bytes.Compare(s[:], h.at(i).stamp[:]) })
}

// lookup returns the hash of a file that has not changed.
func (h *hashes) lookup(n *Node) (sum [32]byte, ok bool) {
	if h == nil {
		return sum, false
	}
	s, path := h.stamp(n), maphash.String(h.seed, n.Path)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.load()
	i, ok := h.find(path, s)
	if !ok {
		return sum, false
	}
	e := h.at(i)
	if day := h.today(); e.day != day && e.day != [4]byte{} {
		e.day, h.dirty = day, true
	}
	h.seen[path] = int32(i)
	return e.sum, true
}

func (h *hashes) remember(n *Node, sum [32]byte) {
	if h == nil {
		return
	}
	now := h.now()
	e := hashed{stamp: h.stamp(n), sum: sum}
	old := now.Sub(n.ModTime) >= racy && now.Sub(time.Unix(0, n.changed)) >= racy
	if old {
		e.day = h.today()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.load()
	h.seen[maphash.String(h.seed, n.Path)] = int32(h.len())
	h.add(e)
	h.dirty = h.dirty || old
}

// same says whether a file is still what was hashed, if it was.
func (h *hashes) same(n *Node) bool {
	if h == nil {
		return true
	}
	s, path := h.stamp(n), maphash.String(h.seed, n.Path)
	h.mu.Lock()
	defer h.mu.Unlock()
	i, ok := h.seen[path]
	return !ok || h.at(int(i)).stamp == s
}

// load reads the file at first use. One that is damaged counts as empty.
func (h *hashes) load() {
	if h.loaded {
		return
	}
	if h.loaded = true; h.file == "" {
		return
	}
	f, err := os.Open(h.file)
	if err != nil {
		return
	}
	defer f.Close()
	if err := h.read(f); err != nil {
		h.chunks = nil
	}
	h.kept = h.len()
}

var errDamaged = errors.New("the kept hashes are damaged")

func (h *hashes) read(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	check := sha256.New()
	r := bufio.NewReaderSize(io.TeeReader(io.LimitReader(f, info.Size()-sha256.Size), check), 1<<16)
	magic := make([]byte, len(hashesMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != hashesMagic {
		return errDamaged
	}
	var oldest [4]byte
	binary.BigEndian.PutUint32(oldest[:], uint32(h.now().Unix()/86400-hashesDays))
	var e hashed
	for {
		_, err := io.ReadFull(r, e.stamp[:])
		if err == io.EOF {
			break
		}
		io.ReadFull(r, e.sum[:])
		if _, err := io.ReadFull(r, e.day[:]); err != nil {
			return errDamaged
		}
		if bytes.Compare(e.day[:], oldest[:]) >= 0 {
			h.add(e)
		}
	}
	want := make([]byte, sha256.Size)
	if _, err := io.ReadFull(f, want); err != nil || !bytes.Equal(check.Sum(nil), want) {
		return errDamaged
	}
	return nil
}

// save writes what is worth keeping, at once or not at all.
func (h *hashes) save() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.dirty || h.file == "" {
		return nil
	}
	if err := h.write(); err != nil && !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("keeping the hashes of the context: %w", err)
	}
	h.dirty = false
	return nil
}

// write replaces the file.
func (h *hashes) write() error {
	f, err := os.CreateTemp(filepath.Dir(h.file), ".hashes-")
	if err != nil {
		return err
	}
	check := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, check), 1<<16)
	w.WriteString(hashesMagic)
	for _, i := range h.sorted() {
		e := h.at(int(i))
		w.Write(e.stamp[:])
		w.Write(e.sum[:])
		w.Write(e.day[:])
	}
	err = w.Flush()
	if err == nil {
		_, err = f.Write(check.Sum(nil))
	}
	if err = cmpErr(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), h.file)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// sorted returns the entries that are kept, in the order of their stamps.
func (h *hashes) sorted() []int32 {
	list := make([]int32, 0, h.len())
	for i := range h.len() {
		if h.at(i).day != [4]byte{} {
			list = append(list, int32(i))
		}
	}
	slices.SortFunc(list, func(a, b int32) int { return bytes.Compare(h.at(int(a)).stamp[:], h.at(int(b)).stamp[:]) })
	return slices.CompactFunc(list, func(a, b int32) bool { return h.at(int(a)).stamp == h.at(int(b)).stamp })
}
