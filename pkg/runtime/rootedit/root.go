// This file owns how files below a root are opened, read and written. The kernel keeps each lookup inside of the root, and off all that
// is mounted in it.

package rootedit

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Place is where edits are made.
type Place struct {
	Root   *os.File // the directory that is / to the container
	Memory []string // file systems in memory that are mounted in it and are the sandbox's own, as /dev is: they may be changed, too
	UID    int      // the owner of what is made
	GID    int
}

// open opens a path below the root. A path that leads onto something mounted there is EXDEV.
func (p Place) open(name string, flags uint64) (*os.File, error) {
	root, rest, err := p.mountOf(name)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	how := &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(int(root.Fd()), rest, how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// mountOf opens the mount on which a path lies, the root's or one in memory, and gives the rest of the path.
func (p Place) mountOf(name string) (mount *os.File, rest string, err error) {
	at := "."
	for _, m := range p.Memory {
		if (name == m || strings.HasPrefix(name, m+"/")) && len(m) > len(at) {
			at = m
		}
	}
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(int(p.Root.Fd()), at, how)
	if err != nil {
		return nil, "", &os.PathError{Op: "open", Path: at, Err: err}
	}
	return os.NewFile(uintptr(fd), at), path.Join("/", strings.TrimPrefix(name, at)), nil
}

// makeDir opens a directory, and makes it and those above it where they are missing.
func (p Place) makeDir(name string) (*os.File, error) {
	d, err := p.open(name, unix.O_PATH|unix.O_DIRECTORY)
	if !errors.Is(err, unix.ENOENT) || path.Dir(name) == name {
		return d, err
	}
	parent, err := p.makeDir(path.Dir(name))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	base := path.Base(name)
	if err := unix.Mkdirat(int(parent.Fd()), base, 0o755); err != nil {
		return nil, &os.PathError{Op: "mkdir", Path: name, Err: err}
	}
	if err := errors.Join(unix.Fchmodat(int(parent.Fd()), base, 0o755, 0), p.own(parent, base)); err != nil {
		return nil, err
	}
	return p.open(name, unix.O_PATH|unix.O_DIRECTORY)
}

// own gives what was made to its owner. Whoever makes it is user 0.
func (p Place) own(dir *os.File, name string) error {
	if p.UID == 0 && p.GID == 0 {
		return nil
	}
	return unix.Fchownat(int(dir.Fd()), name, p.UID, p.GID, unix.AT_SYMLINK_NOFOLLOW)
}

// write writes a file. An existing one gives way or, with replace false, stays.
func (p Place) write(name, text string, replace bool) error {
	d, err := p.makeDir(path.Dir(name))
	if err != nil {
		return fmt.Errorf("making the directory of %s: %w", name, err)
	}
	defer d.Close()
	base := path.Base(name)
	if replace {
		if err := unix.Unlinkat(int(d.Fd()), base, 0); err != nil && err != unix.ENOENT {
			return fmt.Errorf("replacing %s: %w", name, err)
		}
	}
	// O_EXCL follows no link, not even a dangling one.
	fd, err := unix.Openat(int(d.Fd()), base, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if errors.Is(err, unix.EEXIST) && !replace {
		return nil
	}
	if err != nil {
		return fmt.Errorf("making %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.WriteString(text)
	return errors.Join(err, f.Chmod(0o644), p.own(d, base), f.Close())
}

// Has says whether a path leads to something, on whatever it is mounted.
func (p Place) Has(name string) bool {
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(int(p.Root.Fd()), name, how)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// names lists a directory, in order; none where there is no such directory.
func (p Place) names(dir string) []string {
	d, err := p.open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil
	}
	defer d.Close()
	entries, _ := d.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}
