// This file owns what is remembered of the hashes of local files.
// They are believed as git believes its index: by what lstat says of a file, unless it is so young that a second change could
// have left no trace.

package files

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"sort"
	"sync"
	"time"
)

// racy is how old a file must be before its hash is believed next time: a file that was written twice within one
// tick of the filesystem's clock looks unchanged (git calls such entries racy).
const racy = 2 * time.Second

// hashes remembers the hashes of files of this machine between builds, so that a context that did not change is only
// listed. A file is known by its path, inode, size and both of its times: who can forge ctime can forge anything.
// A million files take 85 MB.
type hashes struct {
	file string // keeps them between builds, see hashfile.go; empty: nothing does
	now  func() time.Time

	mu     sync.Mutex
	loaded bool
	dirty  bool
	kept   []hashed   // the hashes of the file, sorted by path, each path once
	added  hashedList // the hashes made since, each path once
	index  []int32    // the place of a path in added, plus one: a hash table with open addresses; 0 is free
}

// hashed is one file.
type hashed struct {
	stamp
	sum  [32]byte
	day  [2]byte // the day of the last use, since 1970, big-endian; 0: too young to be kept
	seen bool    // used since the context was opened: a step was keyed with this sum
}

// stamp says which file it is, and which version of it.
type stamp struct {
	// Both are the first bytes of a SHA-256, since a million of them must fit into memory.
	path    [8]byte
	version [12]byte
}

// newHashes reads nothing yet: the file is read when the first hash is looked up.
func newHashes(file string) *hashes { return &hashes{file: file, now: time.Now} }

// stampOf condenses what is known of a file, since a million of them are kept.
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

// today is the day as the file has it.
// Days are counted in 16 bits, which last until the year 2149.
func (h *hashes) today() (day [2]byte) {
	binary.BigEndian.PutUint16(day[:], uint16(h.now().Unix()/86400))
	return day
}

// versions returns what is known of a path: what the file has, and what was added since. Either may be nil.
func (h *hashes) versions(s *stamp) (all [2]*hashed) {
	if i := h.slot(s); i >= 0 && h.index[i] != 0 {
		all[0] = h.added.at(int(h.index[i]) - 1)
	}
	i, ok := sort.Find(len(h.kept), func(i int) int { return bytes.Compare(s.path[:], h.kept[i].path[:]) })
	if ok {
		all[1] = &h.kept[i]
	}
	return all
}

// slot returns where in the index a path is or belongs, -1 while there is no index.
func (h *hashes) slot(s *stamp) int {
	mask := len(h.index) - 1 // a power of two
	if mask < 0 {
		return -1
	}
	// A path is a digest already, so its first bytes serve as the hash of the table.
	for i := int(binary.BigEndian.Uint64(s.path[:])>>1) & mask; ; i = (i + 1) & mask {
		if at := h.index[i]; at == 0 || h.added.at(int(at)-1).path == s.path {
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
	// Only the version that was looked up last is one that a step may have been keyed with.
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

// remember keeps the hash of a file that was read. One that is too young is known in this build only.
func (h *hashes) remember(n *Node, sum [32]byte) {
	if h == nil {
		return
	}
	now := h.now()
	e := hashed{stamp: stampOf(n), sum: sum, seen: true}
	// Both times must be old: a second write in the same tick would leave either as it is.
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

// add appends a file whose path is new, and finds it again by the index.
func (h *hashes) add(e hashed) {
	h.added.add(e)
	// The table stays at most three quarters full, so that a search ends soon.
	if 4*h.added.n <= 3*len(h.index) {
		h.index[h.slot(&e.stamp)] = int32(h.added.n)
		return
	}
	h.index = make([]int32, max(1024, 2*len(h.index)))
	for i := range h.added.n {
		h.index[h.slot(&h.added.at(i).stamp)] = int32(i + 1)
	}
}

// hashedList is a long list in pieces. A slice would be copied whenever it grows, and the copies of a million files take 150 MB.
type hashedList struct {
	pieces [][]hashed
	n      int
}

// hashedPiece is the number of files in a piece; it must not change while a list lives.
const hashedPiece = 1 << 13

// at returns the file with the number i. The pointer stays valid: pieces never move.
func (l *hashedList) at(i int) *hashed { return &l.pieces[i/hashedPiece][i%hashedPiece] }

// add appends a file.
func (l *hashedList) add(e hashed) {
	if l.n%hashedPiece == 0 {
		l.pieces = append(l.pieces, make([]hashed, hashedPiece))
	}
	l.n++
	*l.at(l.n - 1) = e
}

// sorted calls fn for the list, sorted by path. Small keys are sorted, for the sake of the processor's cache.
func (l *hashedList) sorted() iter.Seq[*hashed] {
	type key struct {
		path [8]byte
		at   int32
	}
	keys := make([]key, l.n)
	for i := range keys {
		keys[i] = key{l.at(i).path, int32(i)}
	}
	slices.SortFunc(keys, func(a, b key) int { return bytes.Compare(a.path[:], b.path[:]) })
	return func(yield func(*hashed) bool) {
		for _, k := range keys {
			if !yield(l.at(int(k.at))) {
				return
			}
		}
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
	h.kept, h.added, h.index = nil, hashedList{}, nil
	h.loaded, h.dirty = false, false
	// Where the state directory cannot be written, the next build reads the files again, and this one is right all the same.
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("keeping the hashes of the context: %w", err)
	}
	return nil
}

// merged calls fn for what is kept from now on, sorted by path. What replaces a version of a file is not sorted before.
// A version that was replaced never comes back, because ctime does not.
func (h *hashes) merged(fn func(*hashed)) {
	var oldest [2]byte
	binary.BigEndian.PutUint16(oldest[:], uint16(h.now().Unix()/86400-hashesDays))
	keep := func(e *hashed) {
		if bytes.Compare(e.day[:], oldest[:]) >= 0 {
			fn(e)
		}
	}
	at := 0 // entries of kept before this one are done
	for e := range h.added.sorted() {
		for ; at < len(h.kept) && bytes.Compare(h.kept[at].path[:], e.path[:]) < 0; at++ {
			keep(&h.kept[at])
		}
		if at < len(h.kept) && h.kept[at].path == e.path {
			at++
		}
		keep(e)
	}
	for ; at < len(h.kept); at++ {
		keep(&h.kept[at])
	}
}
