// Package outfile writes the files that a command line names. A file appears whole or stays what it was; what is no file
// (a device, a pipe, a socket, a descriptor) is written to, and never replaced. A user expects of such a file what a shell
// gives one by >: links are followed, a file that was there keeps its mode and its owner, and a new one has the mode of the
// umask. Files that gbuild itself owns have none of that, and are written by package durable.
package outfile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/internal/hint"
)

// Write makes path what write writes, and brings it to disk. A link at path stays, and its target is replaced.
func Write(ctx context.Context, path string, write func(io.Writer) error) error {
	return put(ctx, path, write, true)
}

// WriteText is Write for a few words that need not outlive a power cut.
func WriteText(ctx context.Context, path, text string) error {
	return put(ctx, path, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}, false)
}

// put chooses how: a descriptor of ours and what is no file are written to, and a file is replaced.
func put(ctx context.Context, path string, write func(io.Writer) error, flush bool) error {
	path, fd, err := resolve(path)
	if err != nil {
		return err
	}
	if fd >= 0 {
		return Await(ctx, func() error { return writeDescriptor(fd, write) })
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return replace(path, nil, write, flush)
	case err != nil:
		return fmt.Errorf("looking at target: %w", err)
	case info.IsDir():
		return hint.Errorf("name a file", "%s: it is a directory", path)
	case info.Mode()&fs.ModeSocket != 0:
		return Await(ctx, func() error { return writeSocket(ctx, path, write) })
	case !info.Mode().IsRegular() || isProc(path):
		return Await(ctx, func() error { return overwrite(path, write) })
	}
	return replace(path, info, write, flush)
}

// Await is f, but ends with the context: opening a pipe waits for its other end, and so may a write.
func Await(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// writeDescriptor writes where an open descriptor stands: what was written to it before stays.
func writeDescriptor(fd int, write func(io.Writer) error) error {
	own, err := syscall.Dup(fd)
	if err != nil {
		return fmt.Errorf("writing to descriptor %d: %w", fd, err)
	}
	syscall.CloseOnExec(own)
	f := os.NewFile(uintptr(own), "descriptor")
	err = write(f)
	return errors.Join(err, f.Close())
}

// writeSocket writes to whoever listens at path.
func writeSocket(ctx context.Context, path string, write func(io.Writer) error) error {
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("opening target: %w", err)
	}
	err = write(c)
	return errors.Join(err, c.Close())
}

// overwrite writes to what is there.
func overwrite(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return fmt.Errorf("opening target: %w", err)
	}
	err = write(f)
	return errors.Join(err, f.Close())
}

// replace writes a file beside path and gives it the name. Where that cannot be, in a directory that is not the user's or
// for a file that is a mount point, a file with no other name is overwritten.
func replace(path string, old fs.FileInfo, write func(io.Writer) error, flush bool) error {
	dir := filepath.Dir(path)
	f, err := create(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return hint.Errorf("make it first", "%s: there is no such directory", dir)
	case errors.Is(err, fs.ErrPermission) && hasOneName(old), errors.Is(err, syscall.EROFS) && hasOneName(old):
		return overwrite(path, write)
	case err != nil:
		return fmt.Errorf("making temporary file: %w", err)
	}
	defer os.Remove(f.Name()) // after the rename it is gone already
	if err := fill(f, old, write, flush); err != nil {
		return err
	}
	err = os.Rename(f.Name(), path)
	if (errors.Is(err, syscall.EBUSY) || errors.Is(err, fs.ErrPermission)) && hasOneName(old) {
		return overwrite(path, func(w io.Writer) error { return copyFile(w, f.Name()) })
	}
	if err != nil {
		return fmt.Errorf("naming file: %w", err)
	}
	if flush {
		if err := durable.SyncDir(dir); err != nil {
			return fmt.Errorf("syncing directory: %w", err)
		}
	}
	return nil
}

// create makes a new file with the mode that the umask, or an ACL of the directory, gives one.
func create(dir string) (f *os.File, err error) {
	for range 10 {
		f, err = os.OpenFile(filepath.Join(dir, ".gbuild-"+rand.Text()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
	return nil, err
}

// fill fills a temporary file, as old was, and brings it to disk.
func fill(f *os.File, old fs.FileInfo, write func(io.Writer) error, flush bool) error {
	err := write(f)
	if err == nil && old != nil {
		err = resemble(f, old)
	}
	if err == nil && flush {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// unmapped is the id that the kernel shows for one that has no name in a user namespace: nothing can be given to it.
const unmapped = 65534

// resemble gives a file the mode of the one that it replaces, and its owner where this process may.
func resemble(f *os.File, old fs.FileInfo) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	is, was := info.Sys().(*syscall.Stat_t), old.Sys().(*syscall.Stat_t)
	if (is.Uid != was.Uid || is.Gid != was.Gid) && was.Uid != unmapped && was.Gid != unmapped {
		_ = f.Chown(int(was.Uid), int(was.Gid))
	}
	return f.Chmod(old.Mode().Perm())
}

// hasOneName says that no other name leads to the file, so that writing to it changes nothing but what was named.
func hasOneName(info fs.FileInfo) bool {
	return info != nil && info.Sys().(*syscall.Stat_t).Nlink == 1
}

// copyFile writes what a file has.
func copyFile(w io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
