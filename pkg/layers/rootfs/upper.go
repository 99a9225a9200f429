// Upper, a directory that is written over a view as the upper directory of an overlay mount is.

package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Upper is an upper directory: it gets what changes, while Lower stays as it is.
type Upper struct {
	Dir   string // its path on disk
	Lower *View  // the files that it lies on
}

// View returns the lower files with the changes, as they are at the moment of each call.
func (u Upper) View() *View { return u.Lower.Over(u.Dir) }

// CopyUp makes the directories of name in the upper directory, with the metadata that they have below, so that files can be
// written there. If name is itself a directory, it is among them. name must be free of links (see View.Resolve).
// A directory that exists nowhere is fs.ErrNotExist.
func (u Upper) CopyUp(name string) error {
	view, at := u.View(), "/"
	parts := split(clean(name))
	for i, part := range parts {
		at = path.Join(at, part)
		e, err := view.Lstat(at)
		if i == len(parts)-1 && (errors.Is(err, fs.ErrNotExist) || err == nil && !e.IsDir()) {
			return nil
		}
		if err == nil && !e.IsDir() {
			err = unix.ENOTDIR
		}
		if err == nil && e.source != u.Dir+at {
			err = CopyDir(e, u.Dir+at)
		}
		if err != nil {
			return fmt.Errorf("copying up %s: %w", at, err)
		}
	}
	return nil
}

// CopyDir makes an empty directory at target with the metadata of e. The directory above keeps its time, since nothing has
// changed for those who look at the merged files.
func CopyDir(e *Entry, target string) error {
	var above unix.Stat_t
	if err := unix.Stat(path.Dir(target), &above); err != nil {
		return err
	}
	if err := os.Mkdir(target, 0o700); err != nil {
		return err
	}
	if err := GiveMetadata(e, target); err != nil {
		return errors.Join(err, os.Remove(target))
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path.Dir(target), []unix.Timespec{above.Atim, above.Mtim}, 0)
}

// GiveMetadata gives the file at target, which is ours and not a link, the owner, attributes, mode and time of e.
func GiveMetadata(e *Entry, target string) error {
	if e.source != "" || e.Content != nil { // what exists nowhere yet is as it was made
		if err := e.Owner().GivePath(target); err != nil {
			return err
		}
		xattrs, err := e.Xattrs()
		if err != nil {
			return err
		}
		for name, value := range xattrs {
			if err := unix.Lsetxattr(target, name, value, 0); err != nil {
				return fmt.Errorf("setting %s: %w", name, err)
			}
		}
	}
	if err := unix.Chmod(target, e.Mode&0o7777); err != nil {
		return err
	}
	if e.ModTime.IsZero() {
		return nil
	}
	times := []unix.Timespec{timespec(e.ModTime), timespec(e.ModTime)}
	return unix.UtimesNanoAt(unix.AT_FDCWD, target, times, unix.AT_SYMLINK_NOFOLLOW)
}
