// This file owns what is remembered of the hashes of local files.

package files

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// racy is how old a file must be before its hash is believed next time: a file that was written twice within one
// tick of the filesystem's clock looks unchanged (git calls such entries racy).
const racy = 2 * time.Second

// hashes remembers the hashes of files of this machine between builds, so that a context that did not change is only
// listed. A file is known by its path, inode, size and both of its times: who can forge ctime can forge anything.
// A million files take 60 MB.
type hashes struct {
	file string // where they are kept, see hashfile.go; empty: nowhere
	now  func() time.Time

	mu     sync.Mutex
	loaded bool
	dirty  bool
	kept   rootfs.Vector[hashed] // what the file has, sorted by path, each path once
	added  rootfs.Vector[hashed] // what was hashed since, each path once
	index  rootfs.Vector[int32]  // where a path is in added, plus one: a hash table with open addresses; 0 is free
}

// hashed is one file.
type hashed struct {
	stamp
	sum  [32]byte
	day  [2]byte // of the last use, since 1970, big-endian; 0: too young to be kept
	seen bool    // since the context was opened: what the file was when a step was keyed
}

// stamp says which file it is, and which version of it.
type stamp struct {
	path    [8]byte
	version [12]byte
}

func newHashes(file string) *hashes { return &hashes{file: file, now: time.Now} }

func stampOf(n *Node) (s stamp) {
	var space [256]byte
	text := append(space[:0], n.Path...)
	sum := sha256.Sum256(text)
	copy(s.path[:], sum[:])
	text = text[:0]
	for _, v := range []uint64{n.Dev, n.Ino, uint64(n.Size), uint64(n.ModTime.UnixNano()), uint64(n.changed)} {
		text = binary.BigEndian.AppendUint64(text, v)
	}
	sum = sha256.Sum256(text)
	copy(s.version[:], sum[:])
	return s
}

func (h *hashes) today() (day [2]byte) {
	binary.BigEndian.PutUint16(day[:], uint16(h.now().Unix()/86400))
	return day
}

// versions returns what is known of a path: what the file has, and what was added since. Either may be nil.
func (h *hashes) versions(s *stamp) (all [2]*hashed) {
	if i := h.slot(s); i >= 0 && h.index.List[i] != 0 {
		all[0] = &h.added.List[h.index.List[i]-1]
	}
	i, ok := sort.Find(len(h.kept.List), func(i int) int { return bytes.Compare(s.path[:], h.kept.List[i].path[:]) })
	if ok {
		all[1] = &h.kept.List[i]
	}
	return all
}

// slot returns where in the index a path is or belongs, -1 while there is no index.
func (h *hashes) slot(s *stamp) int {
	mask := len(h.index.List) - 1 // a power of two
	if mask < 0 {
		return -1
	}
	for i := int(binary.BigEndian.Uint64(s.path[:])>>1) & mask; ; i = (i + 1) & mask {
		if at := h.index.List[i]; at == 0 || h.added.List[at-1].path == s.path {
			return i
		}
	}
}

// lookup returns the hash of a file that has not changed.
func (h *hashes) lookup(n *Node) (sum [32]byte, ok bool) {
	if h == nil {
		return sum, false
	}
	s := stampOf(n)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.load()
	var found *hashed
	all := h.versions(&s)
	for _, e := range all {
		if e != nil && e.stamp == s && found == nil {
			found = e
		}
	}
	if found == nil {
		return sum, false
	}
	forget(all)
	found.seen = true
	if day := h.today(); found.day != day && found.day != [2]byte{} {
		found.day, h.dirty = day, true
	}
	return found.sum, true
}

// forget says that a path is something else by now than what it was seen as.
func forget(versions [2]*hashed) {
	for _, e := range versions {
		if e != nil {
			e.seen = false
		}
	}
}

func (h *hashes) remember(n *Node, sum [32]byte) {
	if h == nil {
		return
	}
	now := h.now()
	e := hashed{stamp: stampOf(n), sum: sum, seen: true}
	old := now.Sub(n.ModTime) >= racy && now.Sub(time.Unix(0, n.changed)) >= racy
	if old {
		e.day = h.today()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.load()
	h.dirty = h.dirty || old
	all := h.versions(&e.stamp)
	forget(all)
	if all[0] != nil {
		*all[0] = e
		return
	}
	h.add(e)
}

func (h *hashes) add(e hashed) {
	h.added.Add(e)
	if 4*len(h.added.List) <= 3*len(h.index.List) {
		h.index.List[h.slot(&e.stamp)] = int32(len(h.added.List))
		return
	}
	size := max(1024, 2*len(h.index.List))
	h.index.Free()
	h.index.Reserve(size)
	h.index.List = h.index.List[:size]
	for i := range h.added.List {
		h.index.List[h.slot(&h.added.List[i].stamp)] = int32(i + 1)
	}
}

// same says whether a file is still what was hashed, if it was.
func (h *hashes) same(n *Node) bool {
	if h == nil {
		return true
	}
	s := stampOf(n)
	h.mu.Lock()
	defer h.mu.Unlock()
	same := true
	for _, e := range h.versions(&s) {
		if e != nil && e.seen {
			same = e.stamp == s
		}
	}
	return same
}

// close writes what is worth keeping, at once or not at all, and forgets everything.
func (h *hashes) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var err error
	if h.dirty && h.file != "" {
		err = h.write()
	}
	h.kept.Free()
	h.added.Free()
	h.index.Free()
	h.loaded, h.dirty = false, false
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("keeping the hashes of the context: %w", err)
	}
	return nil
}

// merged calls fn for what is kept from now on, sorted by path. What replaces a version of a file is not sorted before.
// A version that was replaced never comes back, because ctime does not.
func (h *hashes) merged(fn func(*hashed)) {
	byPath := func(a, b hashed) int { return bytes.Compare(a.path[:], b.path[:]) }
	slices.SortFunc(h.added.List, byPath)
	var oldest [2]byte
	binary.BigEndian.PutUint16(oldest[:], uint16(h.now().Unix()/86400-hashesDays))
	kept, added := h.kept.List, h.added.List
	for len(kept) > 0 || len(added) > 0 {
		var e *hashed
		switch {
		case len(added) == 0 || len(kept) > 0 && byPath(kept[0], added[0]) < 0:
			e, kept = &kept[0], kept[1:]
		case len(kept) > 0 && kept[0].path == added[0].path:
			kept = kept[1:]
			fallthrough
		default:
			e, added = &added[0], added[1:]
		}
		if bytes.Compare(e.day[:], oldest[:]) >= 0 {
			fn(e)
		}
	}
}
