// This file owns the files of a build that never reach a disk.

package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// scratch is a tmpfs of the build, in its own mount namespace: secrets and scripts of heredocs never reach a disk, and
// are gone with the last process whatever kills it. Where nothing can be mounted, it is a directory in one that is mounted already,
// or, without such, in the store.
type scratch struct {
	store  *layers.Store
	memory func() (dir string, remove func() error, err error) // may be nil
	mu     sync.Mutex
	root   string
	n      int

	remove func() error
}

// name returns a new path in the tmpfs, which is mounted at first use.
func (s *scratch) name(kind string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(); err != nil {
		return "", err
	}
	s.n++
	return filepath.Join(s.root, fmt.Sprintf("%s-%d", kind, s.n)), nil
}

// open mounts the tmpfs, if that was not done yet.
func (s *scratch) open() error {
	if s.root != "" {
		return nil
	}
	make := s.memory
	if make == nil {
		make = func() (string, func() error, error) { return s.store.TempDir(context.Background()) }
	}
	dir, remove, err := make()
	if err != nil {
		return err
	}
	s.remove = remove
	if host.Entered() {
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0700"); err != nil {
			return fmt.Errorf("mounting a tmpfs for secrets: %w", err)
		}
	}
	s.root = dir
	return nil
}

// Dir makes a directory.
func (s *scratch) Dir(kind string) (string, error) {
	path, err := s.name(kind)
	if err != nil {
		return "", err
	}
	return path, os.Mkdir(path, 0o700)
}

// File makes a file.
func (s *scratch) File(data []byte, mode uint32, uid, gid int) (string, error) {
	path, err := s.name("file")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return "", err
	}
	if err := rootfs.Kept((rootfs.Owner{UID: uid, GID: gid}).GivePath(path)); err != nil {
		return "", err
	}
	return path, unix.Chmod(path, mode)
}

// close unmounts it, with all that is in it.
func (s *scratch) close() {
	if s.root != "" {
		if host.Entered() {
			unix.Unmount(s.root, unix.MNT_DETACH)
		}
		s.remove()
	}
}
