// This file owns the store of what pip has fetched: large files, named by their digests. They are hard
// links to files in caches, so they take no space. A link is removed when no cache has its file any more.

package pipcache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Bodies are the large files that pip has fetched for a user id, in whichever cache: under the digest of their bytes, as
// hard links. They cross from one owner's cache to another's in one way only: a page of an index, which the other has
// fetched by itself, says that a URL has this digest. pip compares the digest again when it uses the file.
type Bodies struct{ dir string }

const (
	bodiesDir = "bodies"

	// A file with this suffix is a whole entry of pip, with the body inside.
	framedSuffix = ".framed"

	// The directory of a user has this suffix where files only have marks of their owner.
	markedSuffix = "-marked"

	// A file with this suffix says when the file without it was last found to be as its digest says.
	seenSuffix = ".seen"

	// A file of fewer bytes than this is fetched again as quickly.
	minBody = 100_000
)

// Bodies opens those of a user id. One that no cache has any more is dropped.
func (c *Caches) Bodies(uid, gid int) (*Bodies, error) {
	user := fmt.Sprintf("%d-%d", uid, gid)
	if rootfs.Marked() {
		user += markedSuffix
	}
	b := &Bodies{filepath.Join(filepath.Dir(c.dir), bodiesDir, user)}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening what pip has fetched: %w", err)
	}
	_, err := b.names()
	return b, err
}

// names lists what there is.
func (b *Bodies) names() (map[string]bool, error) {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return nil, fmt.Errorf("listing what pip has fetched: %w", err)
	}
	all := map[string]bool{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || strings.HasSuffix(e.Name(), seenSuffix) {
			continue
		}
		if info.Sys().(*syscall.Stat_t).Nlink == 1 {
			b.drop(e.Name())
			continue
		}
		all[e.Name()] = true
	}
	return all, nil
}

// drop removes one name; the caches keep theirs.
func (b *Bodies) drop(name string) {
	_ = os.Remove(filepath.Join(b.dir, name))
	_ = os.Remove(filepath.Join(b.dir, name+seenSuffix))
}

// seen notes that the bytes of a file were those of its digest when the file was as info says: whoever changes them later
// changes the time that nobody can set.
func (b *Bodies) seen(name string, info fs.FileInfo) {
	_ = os.WriteFile(filepath.Join(b.dir, name+seenSuffix), ctimeOf(info), 0o600) // The bytes are read again where this fails.
}

// ctimeOf is the time of the last change and the size, as text. No program can set this time.
func ctimeOf(info fs.FileInfo) []byte {
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Appendf(nil, "%d %d", st.Ctim.Nano(), st.Size)
}

// whole says whether the bytes of a file are still those of its digest. A RUN may have written into its cache.
func (b *Bodies) whole(name string) bool {
	path := filepath.Join(b.dir, name)
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false
	}
	if was, err := os.ReadFile(path + seenSuffix); err == nil && bytes.Equal(was, ctimeOf(info)) {
		return true
	}
	if found, err := nameOf(f, info, formOf(name)); err != nil || found != name {
		b.drop(name)
		return false
	}
	b.seen(name, info)
	return true
}

// formOf is the suffix of a name that says in what form the body is: in an entry, or alone.
func formOf(name string) string {
	if strings.HasSuffix(name, framedSuffix) {
		return framedSuffix
	}
	return ""
}

var errWritten = errors.New("it changed while it was read")

// nameOf reads a body in one of the two forms, and names it. It must not be written meanwhile.
func nameOf(f *os.File, info fs.FileInfo, form string) (string, error) {
	body := io.NewSectionReader(f, 0, info.Size())
	if form == framedSuffix {
		var err error
		if body, err = framedBody(f, info.Size()); err != nil {
			return "", err
		}
		if !plainAnswer(f, info.Size(), body) {
			return "", errNoEntry
		}
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, body); err != nil {
		return "", err
	}
	now, err := f.Stat()
	if err == nil && !bytes.Equal(ctimeOf(now), ctimeOf(info)) {
		err = errWritten
	}
	return hex.EncodeToString(sum.Sum(nil)) + form, err
}

// Keep makes hard links, named by digest, to the large files that came into a cache during a lease. It reads each once.
func (b *Bodies) Keep(ctx context.Context, l *Lease) error {
	return l.eachNew(func(root *os.Root, path string, info fs.FileInfo) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if info.Size() < minBody || info.Sys().(*syscall.Stat_t).Nlink != 1 {
			return nil
		}
		return b.keep(root, path, info)
	})
}

// noteLink notes the file as it is after a further name, if that is all that has changed since it was seen.
func (b *Bodies) noteLink(name string, before fs.FileInfo) {
	now, err := os.Lstat(filepath.Join(b.dir, name))
	if err == nil && os.SameFile(now, before) && now.Size() == before.Size() && now.ModTime().Equal(before.ModTime()) {
		b.seen(name, now)
	}
}

// keep links one file by its descriptor, so that what is linked is what was read.
func (b *Bodies) keep(root *os.Root, path string, info fs.FileInfo) error {
	f, err := root.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ignoreGone(err)
	}
	defer f.Close()
	form := framedSuffix
	if strings.HasSuffix(path, bodySuffix) {
		form = ""
	}
	name, err := nameOf(f, info, form)
	if err != nil {
		return nil // It is no entry, or was written meanwhile.
	}
	err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, filepath.Join(b.dir, name), unix.AT_SYMLINK_FOLLOW)
	if err != nil {
		return ignoreGone(err)
	}
	b.noteLink(name, info)
	return nil
}

// BodiesDir is a directory beside the cache for the files that were lent to it. The RUN sees it, and cannot write there.
func (l *Lease) BodiesDir() (string, error) {
	dir := filepath.Join(l.dir, bodiesDir)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("making room for what pip has fetched: %w", err)
	}
	return dir, nil
}

// sweepBodies drops what no cache has any more.
func (c *Caches) sweepBodies() error {
	dir := filepath.Join(filepath.Dir(c.dir), bodiesDir)
	users, err := os.ReadDir(dir)
	if err != nil {
		return ignoreGone(err)
	}
	for _, u := range users {
		b := &Bodies{filepath.Join(dir, u.Name())}
		if _, err := b.names(); err != nil {
			return err
		}
	}
	return nil
}
