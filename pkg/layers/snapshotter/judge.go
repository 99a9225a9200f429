// This file owns the judgement of a file system: it tries what snapshots need, rather than to know each one by name.

package snapshotter

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Way is how the files of a state are shown as one tree that can be written to. A greater one is better.
type Way int

// The ways. None means that not even snapshots can lie there.
const (
	None Way = iota
	Overlay
)

// String is the name of the way.
func (w Way) String() string { return [...]string{"none", "overlay"}[w] }

// Judgement says what a directory is fit for.
type Judgement struct {
	Way Way
	Why error // why there is no better way; nil where there is none better
}

// Judge finds out how the files of states that lie in dir, which exists, are shown. It leaves nothing behind. The error is one of
// the look itself, as where nobody may write there.
func Judge(dir string) (Judgement, error) {
	reason, err := unfit(dir)
	switch {
	case err != nil:
		return Judgement{}, err
	case reason != nil:
		return Judgement{Way: None, Why: reason}, nil
	}
	return Judgement{Way: Overlay}, nil
}

// CanHold refuses a directory that snapshots cannot lie in.
func CanHold(dir string) error {
	reason, err := unfit(dir)
	if err != nil || reason == nil {
		return err
	}
	return hint.Errorf("put the store on a local disk (ext4, xfs, btrfs) or a volume of one",
		"the filesystem of %s cannot hold the files of images: %w", dir, reason)
}

const magicOverlay = 0x794c7630

// unfit is the reason for which snapshots cannot lie in dir, nil if there is none.
func unfit(dir string) (reason, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return nil, fmt.Errorf("looking at the filesystem of %s: %w", dir, err)
	}
	if st.Type == magicOverlay {
		return errors.New("it is itself an overlay filesystem"), nil
	}
	probe := filepath.Join(dir, ".probe-"+rand.Text())
	if err := os.Mkdir(probe, 0o700); err != nil {
		return nil, hint.Errorf("name a directory that you can write to", "looking at the filesystem of %s: %w", dir, err)
	}
	defer os.RemoveAll(probe)
	for _, try := range []func(string) error{tryLocks, tryOwners, tryAttributes, tryWhiteouts} {
		if reason := try(probe); reason != nil {
			return reason, nil
		}
	}
	return nil, nil
}

// tryLocks checks that a lock that one has is kept from others. It is the only sign that a process lives.
func tryLocks(dir string) error {
	var files [2]*os.File
	for i := range files {
		f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		files[i] = f
	}
	if err := unix.Flock(int(files[0].Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("files cannot be locked: %w", err)
	}
	if err := unix.Flock(int(files[1].Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EWOULDBLOCK {
		return errors.New("a lock of a file is given to two at once")
	}
	return nil
}

// tryOwners checks that a file belongs to who made it, and to whom it was given: a server of files may make it somebody else's.
func tryOwners(dir string) error {
	name := filepath.Join(dir, "owner")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		return err
	}
	if int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("a file that user %d makes there belongs to user %d", os.Geteuid(), st.Uid)
	}
	other := rootfs.Owner{UID: 1, GID: 1}
	if err := other.GivePath(name); errors.Is(err, unix.EINVAL) { // there is no such user
		return nil
	} else if err != nil {
		return fmt.Errorf("files cannot be given to other users: %w", err)
	}
	e, err := rootfs.Lstat(name, name)
	if err != nil {
		return err
	}
	if e.Owner() != other {
		return fmt.Errorf("a file that is given to user %d belongs to user %d", other.UID, e.UID)
	}
	return nil
}

func tryAttributes(dir string) error {
	if err := unix.Setxattr(dir, rootfs.XattrOpaque, []byte("y"), 0); err != nil {
		return fmt.Errorf("it has no user extended attributes: %w", err)
	}
	return nil
}

func tryWhiteouts(dir string) error {
	if err := unix.Mknod(filepath.Join(dir, "whiteout"), unix.S_IFCHR, 0); err != nil {
		return fmt.Errorf("it refuses whiteouts: %w", err)
	}
	return nil
}
