package layers

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/layers/codec"
)

const (
	whiteoutPrefix = ".wh."
	whiteoutOpaque = ".wh..wh..opq"
)

func closeFD(fd int) { unix.Close(fd) }

// rootEntry handles "./": the metadata of the root directory.
func (a *applier) rootEntry(h *tar.Header) error {
	if h.Typeflag != tar.TypeDir {
		return errors.New("the root can only be a directory")
	}
	if !a.overlay {
		return nil // the archive of an ADD does not change the directory that it is unpacked into
	}
	a.times = append(a.times, dirTime{"", h.ModTime})
	return a.dirMetadata(int(a.root.Fd()), ".", h)
}

// whiteout handles the entries that remove something of the layers below. What this layer itself has stays, in whatever
// order its entries come.
func (a *applier) whiteout(dir, base string) error {
	target := strings.TrimPrefix(base, whiteoutPrefix)
	switch {
	case base == whiteoutOpaque:
		return a.opaque(dir)
	case strings.HasPrefix(target, whiteoutPrefix):
		return nil // metadata of AUFS, such as .wh..wh.plnk
	case target == "" || target == "." || target == "..":
		return errors.New("a whiteout of nothing")
	}
	fd, base, err := a.parent(path.Join(dir, target))
	if err != nil {
		return err
	}
	st, err := statAt(fd, base)
	switch {
	case err != nil:
		return err
	case st == nil:
		return whiteoutAt(fd, base)
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return setOpaque(fd, base)
	}
	return nil
}

func whiteoutAt(fd int, base string) error { return unix.Mknodat(fd, base, unix.S_IFCHR, 0) }

func (a *applier) opaque(dir string) error {
	if dir == "." {
		return unix.Fsetxattr(int(a.root.Fd()), xattrOpaque, []byte("y"), 0)
	}
	fd, _, err := a.parent(dir + "/x")
	if err != nil {
		return err
	}
	return setOpaque(fd, ".")
}

// file makes what the entry describes, in the place of anything that this layer has put there before.
func (a *applier) file(name string, h *tar.Header, body io.Reader) error {
	fd, base, err := a.parent(name)
	if err != nil {
		return err
	}
	delete(a.implied, name)
	if h.Typeflag == tar.TypeDir && a.copyUp != nil {
		if err := a.copyUp(name); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return a.directory(fd, base, name, h)
	case tar.TypeLink:
		return a.hardlink(fd, base, name, h.Linkname)
	case tar.TypeReg, 0, tar.TypeGNUSparse, tar.TypeCont: // old tars have NUL for a file
		err = a.regular(fd, base, h, body)
	case tar.TypeSymlink:
		err = a.replace(fd, base, func() error { return unix.Symlinkat(h.Linkname, fd, base) })
		if err == nil {
			err = lchown(fd, base, h)
		}
	case tar.TypeFifo, tar.TypeChar, tar.TypeBlock:
		return a.special(fd, base, name, h)
	default:
		return fmt.Errorf("unknown type %q", h.Typeflag)
	}
	if err == nil {
		err = setTimes(fd, base, h.ModTime)
	}
	return err
}

// replace calls make, and once more without what is in its way.
func (a *applier) replace(fd int, base string, make func() error) error {
	err := make()
	if err != unix.EEXIST {
		return err
	}
	if err := a.clear(fd, base); err != nil {
		return fmt.Errorf("replacing what was there: %w", err)
	}
	return make()
}

func (a *applier) regular(dir int, base string, h *tar.Header, body io.Reader) error {
	var fd int
	err := a.replace(dir, base, func() (err error) {
		fd, err = unix.Openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	err = a.copySparse(f, body, h.Size)
	if err == nil {
		err = chown(fd, h)
	}
	if err == nil {
		err = a.setXattrs(fd, h)
	}
	if err == nil {
		err = unix.Fchmod(fd, uint32(h.Mode)&0o7777)
	}
	return errors.Join(err, f.Close())
}

const copyBuffer = 256 << 10

// copySparse copies the body, and leaves holes for blocks of zeros. The disk begins to write while the rest still comes.
func (a *applier) copySparse(f *os.File, body io.Reader, size int64) error {
	if a.buffer == nil {
		a.buffer = make([]byte, copyBuffer)
	}
	hole, behind := false, writeBehind{file: f}
	for done := int64(0); done < size; {
		n, err := io.ReadFull(body, a.buffer[:min(size-done, copyBuffer)])
		if err != nil {
			return fmt.Errorf("reading the file's content: %w", err)
		}
		chunk := a.buffer[:n]
		hole = n == copyBuffer && allZero(chunk)
		if !hole {
			if _, err := f.WriteAt(chunk, done); err != nil {
				return err
			}
		}
		done += int64(n)
		behind.reached(done)
	}
	if hole {
		return f.Truncate(size)
	}
	return nil
}

func allZero(b []byte) bool {
	return b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1])
}

func (a *applier) directory(fd int, base, name string, h *tar.Header) error {
	st, err := statAt(fd, base)
	if err != nil {
		return err
	}
	switch {
	case st != nil && st.Mode&unix.S_IFMT == unix.S_IFDIR:
	case st == nil:
		err = a.mkdir(fd, base, false)
	default:
		opaque := isWhiteoutStat(st)
		if err = a.clear(fd, base); err == nil {
			err = a.mkdir(fd, base, opaque)
		}
	}
	if err != nil {
		return err
	}
	a.times = append(a.times, dirTime{name, h.ModTime})
	return a.dirMetadata(fd, base, h)
}

func (a *applier) dirMetadata(fd int, base string, h *tar.Header) error {
	dir, err := unix.Openat(fd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := chown(dir, h); err != nil {
		return err
	}
	if err := a.setXattrs(dir, h); err != nil {
		return err
	}
	return unix.Fchmod(dir, uint32(h.Mode)&0o7777)
}

// special makes FIFOs and device nodes. The latter need a privilege that a user namespace does not give.
func (a *applier) special(fd int, base, name string, h *tar.Header) error {
	mode, dev := uint32(unix.S_IFIFO), 0
	switch h.Typeflag {
	case tar.TypeChar:
		mode = unix.S_IFCHR
	case tar.TypeBlock:
		mode = unix.S_IFBLK
	}
	if h.Typeflag != tar.TypeFifo {
		dev = int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor)))
		if dev == 0 && mode == unix.S_IFCHR {
			a.notices.add("device", "left out the device node %s: 0/0 is what removes a file", name)
			return nil
		}
	}
	err := a.replace(fd, base, func() error { return unix.Mknodat(fd, base, mode|0o600, dev) })
	if err == unix.EPERM && h.Typeflag != tar.TypeFifo {
		a.notices.add("device", "left out the device node %s: a user namespace cannot make it", name)
		return nil
	}
	if err == nil {
		err = lchown(fd, base, h)
	}
	if err == nil {
		err = unix.Fchmodat(fd, base, uint32(h.Mode)&0o7777, 0)
	}
	if err == nil {
		err = setTimes(fd, base, h.ModTime)
	}
	return err
}

func chown(fd int, h *tar.Header) error {
	if err := checkOwner(h); err != nil {
		return err
	}
	return ownerError(unix.Fchown(fd, h.Uid, h.Gid), h)
}

func lchown(fd int, base string, h *tar.Header) error {
	if err := checkOwner(h); err != nil {
		return err
	}
	return ownerError(unix.Fchownat(fd, base, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW), h)
}

// checkOwner refuses ids that chown would take for "leave it as it is".
func checkOwner(h *tar.Header) error {
	if h.Uid < 0 || h.Gid < 0 || h.Uid >= math.MaxUint32 || h.Gid >= math.MaxUint32 {
		return fmt.Errorf("setting the owner %d:%d: no such ids", h.Uid, h.Gid)
	}
	return nil
}

func ownerError(err error, h *tar.Header) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("setting the owner %d:%d: %w", h.Uid, h.Gid, err)
	if errors.Is(err, unix.EINVAL) {
		return hint.Wrap(err, "the ids are outside of the range that this user may use; add a wider range to /etc/subuid and /etc/subgid")
	}
	return err
}

func (a *applier) setXattrs(fd int, h *tar.Header) error {
	var names []string
	for key := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, codec.PaxXattr); ok && portableXattr(name) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		value := []byte(h.PAXRecords[codec.PaxXattr+name])
		if name == xattrCapability {
			value = capabilityV2(value)
		}
		err := unix.Fsetxattr(fd, name, value, 0)
		if err == unix.ENOTSUP || err == unix.EPERM && name == xattrCapability {
			a.notices.add("xattr", "left out the attribute %s of %s: %v", name, h.Name, err)
		} else if err != nil {
			return fmt.Errorf("setting attribute %s: %w", name, err)
		}
	}
	return nil
}

// hardlink links to what this layer has at the target, or leaves that to finish.
func (a *applier) hardlink(fd int, base, name, linkname string) error {
	target, err := entryName(linkname)
	if err != nil || target == "" {
		return fmt.Errorf("linking to %q: %w", linkname, errors.Join(err, errEscapes))
	}
	target = path.Join(a.under, target)
	dir, leaf := path.Split(target)
	from, err := a.lookup(strings.TrimSuffix(dir, "/"))
	if err == unix.ENOENT || err == unix.ENOTDIR {
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
	case isWhiteoutStat(st):
		return fmt.Errorf("linking to %q: %w", linkname, os.ErrNotExist)
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return fmt.Errorf("linking to %q: it is a directory", linkname)
	}
	if there, err := statAt(fd, base); err == nil && there != nil && there.Ino == st.Ino && there.Dev == st.Dev {
		return nil
	}
	return a.replace(fd, base, func() error { return unix.Linkat(from, leaf, fd, base, 0) })
}

// finishLink makes a hard link to what came later, or a copy of what a layer below has.
func (a *applier) finishLink(l pendingLink, merged *View) error {
	_, target, err := merged.Resolve(l.target, false)
	if err != nil {
		return err
	}
	if target.IsDir() {
		return errors.New("it is a directory")
	}
	fd, base, err := a.parent(l.name)
	if err != nil {
		return err
	}
	if there, err := statAt(fd, base); err != nil || there != nil && !isWhiteoutStat(there) {
		return err // a later entry has taken the name
	}
	if strings.HasPrefix(target.source, a.dir+"/") {
		return a.replace(fd, base, func() error { return unix.Linkat(unix.AT_FDCWD, target.source, fd, base, 0) })
	}
	return a.copyEntry(fd, base, target)
}

// copyEntry copies a file that is not a directory.
func (a *applier) copyEntry(fd int, base string, e *Entry) error {
	h := &tar.Header{Name: base, Mode: int64(e.Mode & 0o7777), Uid: e.UID, Gid: e.GID, Size: e.Size, ModTime: e.ModTime,
		Linkname: e.Link, Devmajor: int64(unix.Major(e.Rdev)), Devminor: int64(unix.Minor(e.Rdev)), PAXRecords: map[string]string{}}
	xattrs, err := e.Xattrs()
	if err != nil {
		return err
	}
	for name, value := range xattrs {
		h.PAXRecords[codec.PaxXattr+name] = string(value)
	}
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
		if err := lchown(fd, base, h); err != nil {
			return err
		}
	default:
		h.Typeflag = map[uint32]byte{unix.S_IFIFO: tar.TypeFifo, unix.S_IFCHR: tar.TypeChar, unix.S_IFBLK: tar.TypeBlock}[e.Type()]
		return a.special(fd, base, base, h)
	}
	return setTimes(fd, base, e.ModTime)
}

// finishImplied gives directories without an entry the metadata of the directory below, shortest names first.
func (a *applier) finishImplied(lower *View) error {
	names := make([]string, 0, len(a.implied))
	for name := range a.implied {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		e, err := lower.Lstat(name)
		if isNotExist(err) || err == nil && !e.IsDir() {
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

func (a *applier) impliedMetadata(name string, e *Entry) error {
	fd, err := a.lookup(name)
	if err != nil {
		return nil // replaced by a later entry
	}
	defer unix.Close(fd)
	if err := copyMetadata(e, fmt.Sprintf("/proc/self/fd/%d/.", fd)); err != nil {
		return err
	}
	a.times = append(a.times, dirTime{name, e.ModTime})
	return nil
}

// notices passes each kind of notice on once.
type notices struct {
	tell func(string)
	seen map[string]bool
}

func newNotices(tell func(string)) *notices { return &notices{tell: tell, seen: map[string]bool{}} }

func (n *notices) add(kind, format string, args ...any) {
	if n.tell != nil && !n.seen[kind] {
		n.seen[kind] = true
		n.tell(fmt.Sprintf(format, args...))
	}
}
