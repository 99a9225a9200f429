// This file owns how a path is looked up below a root.

package copying

import (
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// open opens what a path below the root leads to. Links are followed inside of the root, but for the last one where flags has
// O_NOFOLLOW.
func open(root *os.File, name string, flags uint64) (*os.File, error) {
	name = path.Clean("/" + name)
	how := &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(int(root.Fd()), name, how)
		if err == unix.EINTR || err == unix.EAGAIN { // somebody renames what is on the way
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}

// Stat says what a path is; a link at its end is followed.
func Stat(root *os.File, name string) Info {
	i := Info{Path: name}
	if parent, err := open(root, path.Dir(path.Clean("/"+name)), unix.O_PATH|unix.O_DIRECTORY); err == nil {
		i.Parent = true
		parent.Close()
	}
	f, err := open(root, name, unix.O_PATH)
	if err != nil {
		return i
	}
	defer f.Close()
	var st unix.Stat_t
	i.Exists = unix.Fstat(int(f.Fd()), &st) == nil
	i.Dir = i.Exists && st.Mode&unix.S_IFMT == unix.S_IFDIR
	return i
}
