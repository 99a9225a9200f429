package layers

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A snapshot is a directory snapshots/<key> that holds fs (an overlay lower) and meta.json. meta.json is there if and
// only if the snapshot is complete. One that is packed has no fs until its files are needed: they are in its layer.

// meta is the content of meta.json.
type meta struct {
	Parent Key          `json:"parent"`
	Packed *layerRecord `json:"packed,omitempty"`
}

const (
	maxLowers = 500    // OVL_MAX_STACK of the kernel
	maxStack  = 10_000 // of snapshots: no image has so many, a circle of corrupt ones has
)

func (s *Store) snapshot(k Key, elements ...string) string {
	return s.path(append([]string{"snapshots", k.String()}, elements...)...)
}

// readMeta returns what stands below a committed snapshot.
func (s *Store) readMeta(k Key) (meta, error) {
	path := s.snapshot(k, "meta.json")
	s.mu.Lock()
	m, known := s.known[k]
	s.mu.Unlock()
	if known {
		_, err := os.Lstat(path)
		return m, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, &CorruptError{What: "snapshot " + k.String(), Err: err}
	}
	s.mu.Lock()
	s.known[k] = m
	s.mu.Unlock()
	return m, nil
}

// heldMeta is readMeta of a snapshot that is held, and so cannot have gone.
func (s *Store) heldMeta(k Key) (meta, error) {
	s.mu.Lock()
	m, known := s.known[k]
	s.mu.Unlock()
	if known {
		return m, nil
	}
	return s.readMeta(k)
}

// complete returns what stands below a snapshot whose files are there, or can be unpacked from the layer that is there.
func (s *Store) complete(k Key) (m meta, ok bool) {
	m, err := s.readMeta(k)
	if err != nil || m.Packed == nil || s.hasFiles(k) {
		return m, err == nil
	}
	size, ok := s.hasBlob(m.Packed.Digest)
	return m, ok && size == m.Packed.Size
}

// Has says whether the snapshot of k and all that it stands on are committed. It keeps them from being pruned until the
// store is closed. Scratch is always there.
func (s *Store) Has(k Key) bool {
	return s.lease.holdAll(s, k)
}

// holdAll stops at a snapshot that was found whole before: what it stands on is held, and cannot be pruned.
func (l *lease) holdAll(s *Store, top Key) bool {
	unpacked := true
	for k, depth := top, 0; !k.IsZero(); depth++ {
		exists := func() bool {
			_, err := s.readMeta(k)
			return err == nil
		}
		if depth > maxStack || !l.hold("k "+k.String(), s.snapshot(k, "meta.json"), exists) {
			return false
		}
		if l.isWhole(k) {
			break
		}
		m, ok := s.complete(k)
		if !ok {
			return false
		}
		unpacked = unpacked && (m.Packed == nil || s.hasFiles(k))
		k = m.Parent
	}
	if unpacked { // a blob may turn out to be corrupt, and is removed then
		l.setWhole(top)
	}
	return true
}

// stack returns the directories of the state k, the uppermost first.
func (s *Store) stack(k Key) ([]string, error) {
	if !s.Has(k) {
		return nil, &NotFoundError{Kind: "snapshot", Name: k.String()}
	}
	var dirs []string
	for !k.IsZero() {
		m, err := s.heldMeta(k)
		if err == nil && m.Packed != nil && !s.hasFiles(k) {
			err = errPacked
		}
		if err != nil {
			return nil, fmt.Errorf("reading snapshot %s: %w", k, err)
		}
		dirs = append(dirs, s.dir+"/snapshots/"+k.String()+"/fs")
		k = m.Parent
	}
	return dirs, nil
}

// commit gives the directory made (which holds fs) the name of k. Its files reach the disk beside what follows, see syncer.
func (s *Store) commit(made string, k, parent Key) error {
	data, err := json.Marshal(meta{Parent: parent})
	if err == nil {
		err = os.WriteFile(filepath.Join(made, "meta.json"), data, 0o600)
	}
	if err == nil {
		err = s.sync.mark(s.snapshot(k))
	}
	if err == nil {
		err = s.rename(made, k)
	}
	if err != nil {
		return fmt.Errorf("committing %s: %w", k, err)
	}
	s.Has(k)
	s.sync.soon()
	return nil
}

// rename puts the snapshot in its place. One that is already there and complete wins: same key, same state.
func (s *Store) rename(made string, k Key) error {
	for {
		err := unix.Renameat2(unix.AT_FDCWD, made, unix.AT_FDCWD, s.snapshot(k), unix.RENAME_NOREPLACE)
		if err != unix.EEXIST && err != unix.ENOTEMPTY {
			return err
		}
		if _, ok := s.complete(k); ok {
			return s.discard(made)
		}
		if err := s.discard(s.snapshot(k)); err != nil {
			return err
		}
	}
}

// ErrTooDeep says that a state stands on more snapshots than an overlay mount can have.
var ErrTooDeep = errors.New("an overlay mount has at most 500 layers")
