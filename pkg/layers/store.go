package layers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/statedir"
	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// version is the content of the file VERSION. It changes when an older gbuild could not read the store.
const version = "gbuild store 1\n"

// Store is a state directory. Many processes may have it open at once. Its methods may be called concurrently.
type Store struct {
	// Fetch gets a layer that an image of this store refers to, but whose bytes are not here, from the source that was
	// recorded for it. Without it such a layer cannot be read.
	Fetch func(ctx context.Context, source string, d v1.Descriptor) (v1.Layer, error)
	// Sending, if set, is given each blob of a layer that is made here: one that is large while it still grows, another
	// when it is whole. It must not wait.
	Sending func(*Growing)
	// Notice, if set, is told what was left out of a layer and why, once for each kind of thing.
	Notice func(text string)

	dir   string
	lease lease
	sync  syncer

	encoders codec.Encoders // of all layers

	aheads aheads
	beside sync.WaitGroup // the removal of what is left of drafts

	mu    sync.Mutex
	known map[Key]meta // of committed snapshots; it never changes for a key that exists
	roots map[Key]int  // see rootDepth
}

// Open opens the store in dir, and makes it if it is not there. It refuses a directory that others can write to, one of a
// newer gbuild, and a filesystem that cannot hold snapshots; such errors have a Hint.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	s := &Store{dir: dir, known: map[Key]meta{}, roots: map[Key]int{}}
	s.lease.store, s.sync.store = s, s
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, hint.Errorf("name a directory that you can write to", "making the store: %w", err)
	}
	if err := s.checkOwner(); err != nil {
		return nil, err
	}
	dropDefaultACL(dir)
	if err := s.checkFormat(); err != nil {
		return nil, err
	}
	dropDefaultACL(s.path("drafts"))
	s.reap()
	return s, nil
}

// Close brings what was committed to the disk, and gives back the lease.
func (s *Store) Close() error {
	s.aheads.drop()
	s.beside.Wait()
	return errors.Join(s.sync.end(), s.lease.close())
}

// Dir returns the state directory.
func (s *Store) Dir() string { return s.dir }

func (s *Store) path(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}

func (s *Store) notice(text string) {
	if s.Notice != nil {
		s.Notice(text)
	}
}

// defaultACL is the attribute of a directory whose new files get further permissions: see acl(5).
const defaultACL = "system.posix_acl_default"

// dropDefaultACL takes from a directory of the store what a directory above has handed down to it. Files of snapshots would
// get it, and so would layers. A filesystem without ACLs has none to drop.
func dropDefaultACL(dir string) { _ = unix.Lremovexattr(dir, defaultACL) }

func (s *Store) checkOwner() error {
	var st unix.Stat_t
	if err := unix.Stat(s.dir, &st); err != nil {
		return fmt.Errorf("opening the store %s: %w", s.dir, err)
	}
	if int(st.Uid) != os.Geteuid() {
		return hint.Errorf("use a directory of your own, or change its owner", "the store %s belongs to user %d, not to user %d", s.dir, st.Uid, os.Geteuid())
	}
	if st.Mode&0o022 != 0 {
		return hint.Errorf("chmod go-w "+s.dir, "others may write to the store %s (mode %04o)", s.dir, st.Mode&0o7777)
	}
	return nil
}

// checkFormat makes the directories of a new store, and checks that an old one is one that this code can read.
func (s *Store) checkFormat() error {
	found, err := os.ReadFile(s.path("VERSION"))
	switch {
	case err == nil && string(found) == version:
		return nil
	case err == nil:
		return hint.Errorf("use the gbuild that made it, or another directory",
			"the store %s has the format %q, this gbuild reads %q", s.dir, strings.TrimSpace(string(found)), strings.TrimSpace(version))
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("opening the store: %w", err)
	}
	if err := s.checkFilesystem(); err != nil {
		return err
	}
	for _, name := range statedir.Store {
		if err := os.MkdirAll(s.path(name), 0o700); err != nil {
			return fmt.Errorf("making the store: %w", err)
		}
	}
	if err := durable.Save(s.path("VERSION"), []byte(version)); err != nil {
		return fmt.Errorf("making the store: %w", err)
	}
	return nil
}

const (
	magicOverlay = 0x794c7630
	magicNFS     = 0x6969
)

// checkFilesystem tries what snapshots need, rather than to know each filesystem by name.
func (s *Store) checkFilesystem() error {
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		return fmt.Errorf("looking at the filesystem of %s: %w", s.dir, err)
	}
	unfit := func(reason string) error {
		return hint.Errorf("put the store on a local disk (ext4, xfs, btrfs) or a volume of one",
			"the filesystem of %s cannot hold a store: %s", s.dir, reason)
	}
	switch int64(st.Type) {
	case magicOverlay:
		return unfit("it is itself an overlay filesystem")
	case magicNFS:
		return unfit("it is NFS, whose locks and owners are not dependable")
	}
	probe := s.path(".probe-" + rand.Text())
	if err := os.Mkdir(probe, 0o700); err != nil {
		return hint.Errorf("name a directory that you can write to", "making the store: %w", err)
	}
	defer os.RemoveAll(probe)
	if err := unix.Setxattr(probe, rootfs.XattrOpaque, []byte("y"), 0); err != nil {
		return unfit("it has no user extended attributes: " + err.Error())
	}
	if err := unix.Mknod(filepath.Join(probe, "whiteout"), unix.S_IFCHR, 0); err != nil {
		return unfit("it refuses whiteouts: " + err.Error())
	}
	return nil
}

// reap removes what dead processes left. What cannot be removed from here (files of subordinate ids, seen from outside
// of the namespace) stays for the next process that can.
func (s *Store) reap() {
	s.sync.forget()
	for _, dir := range []string{"drafts", "ingest"} {
		files, _ := os.ReadDir(s.path(dir))
		for _, f := range files {
			if !f.IsDir() {
				s.reapOne(s.path(dir, f.Name()))
			}
		}
	}
	s.lease.reap()
	left, _ := os.ReadDir(s.path("trash"))
	if len(left) > 0 {
		go s.emptyTrash()
	}
}

// reapOne removes a lock file (or a half-written blob) that nobody holds, and the draft that lies beside it.
func (s *Store) reapOne(path string) {
	held, err := durable.TryLock(path, durable.Exclusive)
	if err != nil {
		return
	}
	defer held.Close()
	if draft, ok := strings.CutSuffix(path, ".lock"); !ok || s.discard(draft) == nil {
		os.Remove(path)
	}
}

// discard takes a tree out of use at once. The removal of its files follows.
func (s *Store) discard(path string) error {
	err := os.Rename(path, s.path("trash", rand.Text()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (s *Store) emptyTrash() {
	left, _ := os.ReadDir(s.path("trash"))
	for _, d := range left {
		os.RemoveAll(s.path("trash", d.Name()))
	}
}
