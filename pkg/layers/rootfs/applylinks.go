// This file owns those entries of a tar that need more than themselves: hard links, whose target may come later or lie in a layer
// below, and directories that no entry names. Links that must wait are kept until Finish.

package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hardlink links to what this layer has at the target, or leaves that to finish.
func (a *Applier) hardlink(fd int, base, name, linkname string) error {
	target, err := entryName(linkname)
	if err != nil || target == "" {
		return fmt.Errorf("linking to %q: %w", linkname, errors.Join(err, errEscapes))
	}
	target = path.Join(a.how.under, target)
	dir, leaf := path.Split(target)
	from, err := a.tree.lookup(strings.TrimSuffix(dir, "/"))
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		// The target may come later in this tar, or lie in a layer below.
		a.links = append(a.links, pendingLink{name, target})
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(from)
	st, err := statAt(from, leaf)
	switch {
	case err != nil:
		return err
	case st == nil:
		a.links = append(a.links, pendingLink{name, target})
		return nil
	case isWhiteoutAt(from, leaf, st):
		return fmt.Errorf("linking to %q: %w", linkname, os.ErrNotExist)
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return fmt.Errorf("linking to %q: it is a directory", linkname)
	}
	// The name is a link to the same file already, and rename(2) of one name over the other would do nothing.
	if there, err := statAt(fd, base); err == nil && there != nil && there.Ino == st.Ino && there.Dev == st.Dev {
		return nil
	}
	return a.replace(fd, base, func() error { return unix.Linkat(from, leaf, fd, base, 0) })
}

// finishLink makes a hard link to what came later, or a copy of what a layer below has.
func (a *Applier) finishLink(l pendingLink, merged *View) error {
	_, target, err := merged.Resolve(l.target, false)
	if err != nil {
		return err
	}
	if target.IsDir() {
		return errors.New("it is a directory")
	}
	fd, base, err := a.dirOf(l.name)
	if err != nil {
		return err
	}
	if there, err := statAt(fd, base); err != nil || there != nil && !isWhiteoutAt(fd, base, there) {
		return err // a later entry has taken the name
	}
	// A link across layers is a copy: overlayfs cannot share an inode between two lower directories.
	if strings.HasPrefix(target.source, a.tree.dir+"/") {
		return a.replace(fd, base, func() error { return unix.Linkat(unix.AT_FDCWD, target.source, fd, base, 0) })
	}
	return a.copyEntry(fd, base, target)
}

// copyEntry copies a file that is not a directory.
func (a *Applier) copyEntry(fd int, base string, e *Entry) error {
	h, err := e.Header()
	if err != nil {
		return err
	}
	xattrs, err := e.Xattrs()
	if err != nil {
		return err
	}
	SetXattrs(h, xattrs)
	switch e.Type() {
	case unix.S_IFREG:
		f, err := e.Open()
		if err != nil {
			return err
		}
		defer f.Close()
		if err := a.regular(fd, base, h, f); err != nil {
			return err
		}
	case unix.S_IFLNK:
		if err := a.replace(fd, base, func() error { return unix.Symlinkat(e.Link, fd, base) }); err != nil {
			return err
		}
		if err := a.lchown(fd, base, h); err != nil {
			return err
		}
	default:
		return a.special(fd, base, base, h)
	}
	return setTimes(fd, base, e.ModTime)
}

// finishImplied gives directories without an entry the metadata of the directory below, shortest names first.
func (a *Applier) finishImplied(lower *View) error {
	names := make([]string, 0, len(a.tree.implied))
	for name := range a.tree.implied {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		e, err := lower.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !e.IsDir() {
			e, err = &Entry{Mode: 0o755, ModTime: time.Unix(0, 0)}, nil
		}
		if err != nil {
			return err
		}
		if err := a.impliedMetadata(name, e); err != nil {
			return fmt.Errorf("setting the metadata of %q: %w", name, err)
		}
	}
	return nil
}

// impliedMetadata gives a directory the metadata of e.
func (a *Applier) impliedMetadata(name string, e *Entry) error {
	fd, err := a.tree.lookup(name)
	if err != nil {
		return nil // replaced by a later entry
	}
	defer unix.Close(fd)
	if a.tree.pathOf(fd) != name {
		return nil // replaced by a link, which leads elsewhere
	}
	if err := GiveMetadata(e, fmt.Sprintf("/proc/self/fd/%d/.", fd)); err != nil {
		return err
	}
	a.times = append(a.times, dirTime{name, e.ModTime})
	return nil
}
