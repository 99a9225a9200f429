package build

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	hashesMagic = "gbuild hashes 1\n"
	hashesEntry = 16 + 32 + 4 // stamp, hash, day of last use
	hashesDays  = 60          // what is not used for so long is dropped
	// racy is how old a file must be before its hash is believed next time: a file that was written twice within one
	// tick of the filesystem's clock looks unchanged (git calls such entries racy).
	racy = 2 * time.Second
)

// hashes remembers the hashes of files of this machine between builds, so that a context that did not change is only
// listed. A file is known by its path, inode, size and both of its times: who can forge ctime can forge anything.
type hashes struct {
	dir  string // of the context
	file string // where they are kept; empty: nowhere
	now  func() time.Time

	mu     sync.Mutex
	loaded bool
	dirty  bool
	known  map[stamp]hashed
	seen   map[string]stamp // of what was hashed since the context was opened
}

type stamp [16]byte

type hashed struct {
	sum [32]byte
	day uint32 // since 1970
	new bool   // too young to be kept
}

func newHashes(dir, file string) *hashes {
	return &hashes{dir: dir, file: file, now: time.Now, known: map[stamp]hashed{}, seen: map[string]stamp{}}
}

func (h *hashes) stamp(n *Node) (s stamp) {
	text := frame(nil, h.dir, n.Path)
	for _, v := range []uint64{n.Dev, n.Ino, uint64(n.Size), uint64(n.ModTime.UnixNano()), uint64(n.changed)} {
		text = binary.BigEndian.AppendUint64(text, v)
	}
	sum := sha256.Sum256(text)
	copy(s[:], sum[:])
	return s
}

func (h *hashes) today() uint32 { return uint32(h.now().Unix() / 86400) }

// lookup returns the hash of a file that has not changed.
func (h *hashes) lookup(n *Node) (sum [32]byte, ok bool) {
	if h == nil {
		return sum, false
	}
	s := h.stamp(n)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.load()
	e, ok := h.known[s]
	if !ok {
		return sum, false
	}
	if day := h.today(); e.day != day {
		e.day, h.dirty = day, true
		h.known[s] = e
	}
	h.seen[n.Path] = s
	return e.sum, true
}

func (h *hashes) remember(n *Node, sum [32]byte) {
	if h == nil {
		return
	}
	s, now := h.stamp(n), h.now()
	young := now.Sub(n.ModTime) < racy || now.Sub(time.Unix(0, n.changed)) < racy
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known[s] = hashed{sum: sum, day: h.today(), new: young}
	h.seen[n.Path] = s
	h.dirty = h.dirty || !young
}

// same says whether a file is still what was hashed, if it was.
func (h *hashes) same(n *Node) bool {
	if h == nil {
		return true
	}
	s := h.stamp(n)
	h.mu.Lock()
	defer h.mu.Unlock()
	seen, ok := h.seen[n.Path]
	return !ok || seen == s
}

// load reads the file at first use. One that is damaged counts as empty.
func (h *hashes) load() {
	if h.loaded || h.file == "" {
		return
	}
	h.loaded = true
	data, err := os.ReadFile(h.file)
	if err != nil || len(data) < len(hashesMagic)+sha256.Size {
		return
	}
	body, check := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], check) || !bytes.HasPrefix(body, []byte(hashesMagic)) {
		return
	}
	for body = body[len(hashesMagic):]; len(body) >= hashesEntry; body = body[hashesEntry:] {
		e := hashed{sum: [32]byte(body[16:48]), day: binary.BigEndian.Uint32(body[48:52])}
		if e.day+hashesDays >= h.today() {
			h.known[stamp(body[:16])] = e
		}
	}
}

// save writes what is worth keeping, at once or not at all.
func (h *hashes) save() (err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.dirty || h.file == "" {
		return nil
	}
	body := []byte(hashesMagic)
	for s, e := range h.known {
		if !e.new {
			body = append(append(body, s[:]...), e.sum[:]...)
			body = binary.BigEndian.AppendUint32(body, e.day)
		}
	}
	sum := sha256.Sum256(body)
	if err := replaceFile(h.file, append(body, sum[:]...)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("keeping the hashes of the context: %w", err)
	}
	h.dirty = false
	return nil
}

func replaceFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".hashes-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = cmpErr(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
