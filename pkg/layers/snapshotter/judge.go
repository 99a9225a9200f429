// This file owns the judgement of a file system: it tries what snapshots need, rather than to know each one by name.

package snapshotter

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/thread"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Way is how the files of a state are shown as one tree that can be written to. A greater one is better.
type Way int

// The ways. None means that not even snapshots can lie there.
const (
	None    Way = iota
	Copied      // all files are copied, and compared afterwards
	Overlay     // the kernel's overlay
)

// String is the name of the way.
func (w Way) String() string { return [...]string{"none", "copy", "overlay"}[w] }

// Judgement says what a directory is fit for.
type Judgement struct {
	Way Way
	Why error // why there is no better way; nil where there is none better
}

// Judge finds out how this process, with the namespaces and rights that it has, would show the files of states that lie in dir, which
// exists. It leaves nothing behind. The error is one of the look itself, as where nobody may write there.
func Judge(dir string) (Judgement, error) {
	reason, err := unfit(dir)
	switch {
	case err != nil:
		return Judgement{}, err
	case reason != nil:
		return Judgement{Way: None, Why: reason}, nil
	}
	probe, err := probeDir(dir)
	if err != nil {
		return Judgement{}, err
	}
	defer os.RemoveAll(probe)
	if why := tryOverlay(probe); why != nil {
		return Judgement{Way: Copied, Why: why}, nil
	}
	return Judgement{Way: Overlay}, nil
}

// JudgeDir is Judge of a directory that need not exist yet: it is judged by the one that it will be made in.
func JudgeDir(dir string) (Judgement, error) {
	dir, err := filepath.Abs(dir)
	for err == nil {
		if _, err = os.Stat(dir); err == nil {
			return Judge(dir)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		dir, err = filepath.Dir(dir), nil
	}
	return Judgement{}, err
}

// CanHold refuses a directory that snapshots cannot lie in.
func CanHold(dir string) error {
	reason, err := unfit(dir)
	if err != nil || reason == nil {
		return err
	}
	return hint.HostErrorf("put the store on a local disk (ext4, xfs, btrfs) or a volume of one",
		"the filesystem of %s cannot hold the files of images: %w", dir, reason)
}

// unfit is the reason for which snapshots cannot lie in dir, nil if there is none.
func unfit(dir string) (reason, err error) {
	probe, err := probeDir(dir)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(probe)
	for _, try := range []func(string) error{tryLocks, tryOwners, tryAttributes, tryWhiteouts} {
		if reason := try(probe); reason != nil {
			return reason, nil
		}
	}
	return nil, nil
}

// probeDir makes a directory in which something is tried.
func probeDir(dir string) (string, error) {
	probe := filepath.Join(dir, ".probe-"+rand.Text())
	if err := os.Mkdir(probe, 0o700); err != nil {
		return "", hint.HostErrorf("name a directory that you can write to, such as one below $TMPDIR: --root or GBUILD_ROOT", "looking at the filesystem of %s: %w", dir, err)
	}
	return probe, nil
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
	if err := rootfs.SetOpaque(dir); err != nil {
		return fmt.Errorf("it has no user extended attributes: %w", err)
	}
	if !rootfs.IsOpaque(dir) {
		return errors.New("it does not keep user extended attributes")
	}
	return nil
}

func tryWhiteouts(dir string) error {
	name := filepath.Join(dir, "whiteout")
	if err := rootfs.Hide(name); err != nil {
		return fmt.Errorf("it refuses whiteouts: %w", err)
	}
	if e, err := rootfs.Lstat(name, name); err != nil || !e.IsWhiteout() {
		return errors.Join(errors.New("it does not keep whiteouts"), err)
	}
	return nil
}

// tryOverlay mounts an overlay, which nobody sees but a thread that ends then.
func tryOverlay(dir string) error {
	var names [4]string
	for i, base := range []string{"lower", "upper", "work", "root"} {
		names[i] = filepath.Join(dir, base)
		if err := os.Mkdir(names[i], 0o700); err != nil {
			return err
		}
	}
	return aside(func() error { return MountOverlay(names[3], names[:1], names[1], names[2]) })
}

// aside calls f with a mount namespace of its own.
func aside(f func() error) error {
	return thread.Run(func() error {
		err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err != nil {
			return fmt.Errorf("this process may not mount: %w", err)
		}
		return f()
	})
}
