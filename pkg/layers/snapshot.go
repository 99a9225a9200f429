// Snapshots. One is a directory snapshots/<key>, or that below marked/, which holds fs (an overlay lower directory) and meta.json. meta.json is there if and
// only if the snapshot is complete. One that is packed has no fs until its files are needed: they are in its layer.

package layers

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/pkg/layers/lease"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// meta is the content of meta.json.
type meta struct {
	Parent Key          `json:"parent"`
	Packed *layerRecord `json:"packed,omitempty"`
}

const maxStack = 10_000 // the snapshots of one state: no image has so many, a circle of corrupt ones has

// snapshots are the snapshots of a store.
type snapshots struct {
	disk  disk
	lease *lease.Lease
	sync  *syncer
	blobs *blobs

	mu    sync.Mutex
	known map[Key]meta // the meta of committed snapshots; it never changes for a key that exists
	lent  map[Key]*lent
	roots map[Key]int // see rootDepth
}

// readMeta returns what stands below a committed snapshot.
func (s *snapshots) readMeta(k Key) (meta, error) {
	path := s.disk.snapshot(k, "meta.json")
	s.mu.Lock()
	m, known := s.known[k]
	s.mu.Unlock()
	if known {
		_, err := os.Lstat(path)
		return m, err
	}
	m, err := readMeta(s.disk.snapshot(k))
	if err != nil {
		return m, err
	}
	s.mu.Lock()
	s.known[k] = m
	s.mu.Unlock()
	return m, nil
}

// readMeta reads the meta.json of the snapshot in dir.
func readMeta(dir string) (m meta, err error) {
	data, err := os.ReadFile(filepath.Join(dir, "meta.json"))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, &CorruptError{What: "snapshot " + filepath.Base(dir), Err: err}
	}
	return m, nil
}

// heldMeta is readMeta of a snapshot that is held, and so cannot have gone.
func (s *snapshots) heldMeta(k Key) (meta, error) {
	s.mu.Lock()
	m, known := s.known[k]
	s.mu.Unlock()
	if known {
		return m, nil
	}
	return s.readMeta(k)
}

// complete returns what stands below a snapshot whose files are there, or can be unpacked from the layer that is there.
func (s *snapshots) complete(k Key) (m meta, ok bool) {
	m, err := s.readMeta(k)
	if err != nil || m.Packed == nil || s.hasFiles(k) {
		return m, err == nil
	}
	size, ok := s.blobs.has(m.Packed.Digest)
	return m, ok && size == m.Packed.Size
}

// has says whether the snapshot of k and all that it stands on are committed. It keeps them from being pruned until the
// store is closed. Scratch is always there.
func (s *snapshots) has(k Key) bool {
	return s.hold(k)
}

// hold stops at a snapshot that was found whole before: what it stands on is held, and cannot be pruned.
func (s *snapshots) hold(top Key) bool {
	unpacked := true
	for k, depth := top, 0; !k.IsZero(); depth++ {
		exists := func() bool {
			_, err := s.readMeta(k)
			return err == nil
		}
		e := ownKind().entry(k)
		if depth > maxStack || !s.lease.Hold(e, s.disk.snapshot(k, "meta.json"), exists) {
			return false
		}
		if s.lease.IsWhole(e) {
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
		s.lease.SetWhole(ownKind().entry(top))
	}
	return true
}

// stack returns the directories of the state k, the uppermost first.
func (s *snapshots) stack(k Key) (dirs []string, err error) {
	levels, err := s.levels(k)
	for _, l := range levels {
		if l.Dir == "" {
			return nil, fmt.Errorf("reading a part of %s: %w", k, errPacked)
		}
		dirs = append(dirs, l.Dir)
	}
	return dirs, err
}

// levels returns what the state k is a stack of, the uppermost first: directories, and indexes of what is lent.
func (s *snapshots) levels(k Key) ([]rootfs.Level, error) {
	if !s.has(k) {
		return nil, &NotFoundError{Kind: "snapshot", Name: k.String()}
	}
	var levels []rootfs.Level
	all := s.disk.own("snapshots") + "/"
	for !k.IsZero() {
		m, err := s.heldMeta(k)
		l := rootfs.Level{Dir: all + k.String() + "/fs"}
		if err == nil && s.isPacked(k) {
			if lent := s.lentOf(k); lent != nil {
				l = rootfs.Level{Index: lent.index}
			} else {
				err = errPacked
			}
		}
		if err != nil {
			return nil, fmt.Errorf("reading snapshot %s: %w", k, err)
		}
		levels = append(levels, l)
		k = m.Parent
	}
	return levels, nil
}

// commit gives the directory made (which holds fs) the name of k. Its files reach the disk beside what follows, see syncer.
func (s *snapshots) commit(made string, k, parent Key) error {
	data, err := json.Marshal(meta{Parent: parent})
	if err == nil {
		err = os.WriteFile(filepath.Join(made, "meta.json"), data, 0o600)
	}
	if err == nil {
		err = s.sync.mark(s.disk.snapshot(k))
	}
	if err == nil {
		err = s.rename(made, k)
	}
	if err != nil {
		return fmt.Errorf("committing %s: %w", k, err)
	}
	s.has(k)
	s.sync.soon()
	return nil
}

// rename puts the snapshot in its place. One that is already there and complete wins: same key, same state. A directory that has
// anything in it is never replaced by another one.
func (s *snapshots) rename(made string, k Key) error {
	for {
		err := unix.Rename(made, s.disk.snapshot(k))
		if err != unix.EEXIST && err != unix.ENOTEMPTY {
			return err
		}
		if _, ok := s.complete(k); ok {
			return s.disk.discard(made)
		}
		if err := s.disk.discard(s.disk.snapshot(k)); err != nil {
			return err
		}
	}
}

var errPacked = errors.New("its files are not unpacked")

// commitPacked gives a snapshot without files its name. It needs no mark: what a crash of the machine cuts off of meta.json
// is as good as no snapshot, and so is one whose layer is dropped.
func (s *snapshots) commitPacked(ctx context.Context, k Key, m meta) error {
	draft := s.disk.own("drafts", rand.Text())
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
	s.has(k)
	return nil
}

// isPacked says whether the files of a snapshot that is held are in its layer only.
func (s *snapshots) isPacked(k Key) bool {
	m, err := s.heldMeta(k)
	return err == nil && m.Packed != nil && !s.hasFiles(k)
}

// hasFiles says whether the files of a committed snapshot are unpacked.
func (s *snapshots) hasFiles(k Key) bool {
	_, err := os.Lstat(s.disk.snapshot(k, "fs"))
	return err == nil
}
