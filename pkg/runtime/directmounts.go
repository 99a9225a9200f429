// This file owns what stands for mounts where nothing can be mounted (package swap): which of them are moved, copied or linked to, and what
// a root directory without /dev and /proc of its own is given.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/pkg/runtime/host"
	"github.com/gbuild/gbuild/pkg/runtime/swap"
)

// showDirect shows the mounts of a sandbox, until end is called. dir is private.
func (s *Sandbox) showDirect(ctx context.Context, t *tree, dir string) (end func() error, err error) {
	list, err := s.directMounts(t, dir)
	if err != nil || len(list) == 0 {
		return func() error { return nil }, err
	}
	journal, done, err := ownJournal(ctx, s.Journal)
	if err != nil {
		return nil, fmt.Errorf("writing down what stands for mounts: %w", err)
	}
	w := swap.New(journal, s.Root)
	if err := w.In(ctx, list); err != nil {
		return nil, errors.Join(fmt.Errorf("showing what stands for mounts: %w", err), done())
	}
	closed, err := s.letIn(list)
	end = func() error {
		if err := errors.Join(closed.restore(), w.Out()); err != nil {
			return fmt.Errorf("taking away what stands for mounts: %w", err)
		}
		return done()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("letting user %d reach what stands for mounts: %w", s.UID, err), end())
	}
	if s.Isolation == host.Chroot {
		if err := makeNodes(filepath.Join(s.Root, "dev")); err != nil {
			return nil, errors.Join(fmt.Errorf("making the devices of a command: %w", err), end())
		}
	}
	return end, nil
}

// modes are the modes that directories had.
type modes map[string]os.FileMode

// letIn lets the user of the command go through the directories that links to lent ones lead through, which are closed to everybody but root.
// What it returns closes them again, also where there is an error.
func (s *Sandbox) letIn(list []swap.Mount) (modes, error) {
	closed := modes{}
	for _, m := range list {
		if s.UID == 0 || m.Kind != swap.Lent {
			continue
		}
		st, err := os.Lstat(filepath.Join(s.Root, m.Target))
		if err != nil {
			return closed, err
		}
		if st.Mode().Type() != fs.ModeSymlink {
			continue
		}
		for dir := filepath.Dir(m.Source); dir != "/"; dir = filepath.Dir(dir) {
			if err := closed.open(dir); err != nil {
				return closed, err
			}
		}
	}
	return closed, nil
}

// open lets everybody go through a directory, but not see what is in it.
func (m modes) open(dir string) error {
	st, err := os.Stat(dir)
	if err != nil || st.Mode()&0o001 != 0 {
		return err
	}
	m[dir] = st.Mode()
	return os.Chmod(dir, st.Mode()|0o001)
}

// restore gives the directories their modes again.
func (m modes) restore() (err error) {
	for dir, mode := range m {
		err = errors.Join(err, os.Chmod(dir, mode))
	}
	return err
}

// directMounts lists what stands for mounts, in the order in which they are shown.
func (s *Sandbox) directMounts(t *tree, dir string) (list []swap.Mount, err error) {
	asked := slices.Clone(s.Mounts)
	if s.Isolation == host.Chroot {
		for _, name := range []string{"dev", "proc", "sys"} {
			if isLink(t, name) {
				return nil, fmt.Errorf("/%s is a symbolic link in the image: a command needs a directory there", name)
			}
			list = append(list, swap.Mount{Kind: swap.Empty, Target: "/" + name, Mode: new(uint32(0o755))})
		}
		own, err := hostFiles(dir, s, host.ReadSetting("/etc/resolv.conf")+"\n")
		if err != nil {
			return nil, err
		}
		asked = append(own, asked...)
	}
	slices.SortStableFunc(asked, func(a, b Mount) int { return depth(a.Target) - depth(b.Target) })
	for _, m := range asked {
		one, err := s.directMount(m)
		if err != nil {
			return nil, fmt.Errorf("mounting on %q: %w", m.Target, err)
		}
		list = append(list, one)
	}
	return list, nil
}

// directMount decides what stands for a mount. What a command writes into a directory comes back; what it is shown read-only is a copy, which
// it may write to, and nothing comes back of. What lies in memory is linked to, so that it reaches no disk; from within another root
// directory there is no way to it, so a pipe gives a secret, and other files are copied.
func (s *Sandbox) directMount(m Mount) (swap.Mount, error) {
	one := swap.Mount{Kind: swap.Empty, Source: filepath.Clean(m.Source), Target: filepath.Clean(m.Target), ReadOnly: m.ReadOnly, Mode: m.Mode, UID: m.UID, GID: m.GID}
	if m.Type == "tmpfs" {
		return one, nil
	}
	st, err := os.Stat(m.Source)
	switch {
	case err != nil:
		return one, err
	case st.IsDir() && !m.ReadOnly:
		one.Kind = swap.Lent
	case s.Isolation == host.Chroot && st.Mode().Type() == fs.ModeSocket:
		one.Kind = swap.Piped
	case s.Isolation == host.Chroot && m.Secret && host.InMemory(m.Source) && !host.InMemory(s.Root):
		one.Kind = swap.Piped
	case st.IsDir(), s.Isolation == host.Chroot && st.Mode().IsRegular(), !host.InMemory(m.Source), !m.Secret && isScript(st, one.Target):
		one.Kind = swap.Copied
	default:
		one.Kind = swap.Linked
	}
	return one, nil
}

// isScript says whether a file is a script of a RUN, which is no secret, and which nobody could execute in memory: that is mounted noexec.
func isScript(st os.FileInfo, target string) bool {
	return st.Mode().IsRegular() && st.Mode()&0o111 != 0 && host.Under(target, "/dev")
}

// isLink says whether a name in the root is a symbolic link.
func isLink(t *tree, name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(int(t.root.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK
}

// makeNodes makes what every /dev has, in a directory that goes away with the command.
func makeNodes(dev string) error {
	for name, node := range map[string][2]uint32{"null": {1, 3}, "zero": {1, 5}, "full": {1, 7}, "random": {1, 8}, "urandom": {1, 9}, "tty": {5, 0}} {
		at := filepath.Join(dev, name)
		if err := errors.Join(unix.Mknod(at, unix.S_IFCHR, int(unix.Mkdev(node[0], node[1]))), os.Chmod(at, 0o666)); err != nil {
			return err
		}
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(to, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	shm := filepath.Join(dev, "shm")
	return errors.Join(os.Mkdir(shm, 0o755), os.Chmod(shm, 0o777|fs.ModeSticky))
}

// ownJournal makes a directory for what one command is shown, with a lock beside it that says that this process lives.
func ownJournal(ctx context.Context, in string) (dir string, done func() error, err error) {
	if err := os.MkdirAll(in, 0o711); err != nil {
		return "", nil, err
	}
	if dir, err = os.MkdirTemp(in, "run-"); err != nil {
		return "", nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil { // links may lead into it, for every user of the command
		return "", nil, errors.Join(err, os.Remove(dir))
	}
	held, err := durable.Lock(ctx, dir+lockEnd, durable.Exclusive)
	if err != nil {
		return "", nil, errors.Join(err, os.Remove(dir))
	}
	return dir, func() error {
		defer held.Close()
		return errors.Join(os.RemoveAll(dir), os.Remove(held.Name()))
	}, nil
}

// lockEnd ends the name of the lock beside a journal.
const lockEnd = ".lock"

// RecoverMounts gives back what dead processes have put into the files of a stage: caches, and what the image has in their places. It comes
// before anything else is done with a state directory, which may remove those files.
func RecoverMounts(state string) error {
	for _, in := range []string{host.JournalIn(state, host.Inplace), host.JournalIn(state, host.Chroot)} {
		locks, _ := filepath.Glob(filepath.Join(in, "run-*"+lockEnd))
		for _, lock := range locks {
			if err := recoverMounts(lock); err != nil {
				return fmt.Errorf("giving back what a build that was killed has used: %w", err)
			}
		}
	}
	return nil
}

// recoverMounts does so for one journal, unless a living process has it.
func recoverMounts(lock string) error {
	held, err := durable.TryLock(lock, durable.Exclusive)
	if errors.Is(err, durable.ErrLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer held.Close()
	dir := lock[:len(lock)-len(lockEnd)]
	if err := swap.Recover(dir); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(dir), os.Remove(lock))
}
