package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/outfile"
)

// streams are what files said that can be read but once: pipes, as of <(...), and the standard input. The process that
// the user started reads them, into memory that those which follow it inherit; nothing of it comes to a disk.
type streams struct {
	said map[string][]byte // by the name that the command line gives
	from map[streamID]stream
}

// streamID tells streams apart whatever they are called.
type streamID struct{ dev, ino uint64 }

// stream is one that was read under a name, or belongs to something else.
type stream struct{ name, owner string }

// maxNamed is the most that is read of a file that the command line names, as one with a secret.
const maxNamed = 64 << 20

// stdinName is the standard input on a command line.
const stdinName = "-"

// fileReader is readNamed within a context.
type fileReader func(name string) ([]byte, error)

func (a *app) reader(ctx context.Context) fileReader {
	return func(name string) ([]byte, error) { return a.readNamed(ctx, name) }
}

// readNamed reads a file that the command line names. What can be read once only is remembered.
func (a *app) readNamed(ctx context.Context, name string) (text []byte, err error) {
	if text, ok := a.streams.said[name]; ok {
		return text, nil
	}
	info, err := a.statNamed(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() || info.Mode().IsRegular() && name != stdinName {
		if f, err := os.Open(name); !errors.Is(err, fs.ErrPermission) {
			return readAll(f, name, err)
		}
	}
	id := identify(info)
	switch s, taken := a.streams.from[id]; {
	case s.owner != "":
		return nil, usagef("%s: it is %s already, and can be read once only", name, s.owner)
	case taken:
		text = a.streams.said[s.name]
	default:
		err = outfile.Await(ctx, func() (err error) {
			text, err = a.readStream(name)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	a.streams.keep(name, id, text)
	return text, nil
}

func (s *streams) keep(name string, id streamID, text []byte) {
	if s.said == nil {
		s.said = map[string][]byte{}
	}
	s.said[name] = text
	s.own(id, stream{name: name})
}

func (s *streams) own(id streamID, as stream) {
	if s.from == nil {
		s.from = map[streamID]stream{}
	}
	s.from[id] = as
}

// reserve says what else reads a stream, so that no flag does.
func (a *app) reserve(name, owner string) {
	if info, err := a.statNamed(name); err == nil && !info.Mode().IsRegular() {
		a.streams.own(identify(info), stream{owner: owner})
	}
}

func (a *app) statNamed(name string) (os.FileInfo, error) {
	if in, ok := a.stdin.(*os.File); ok && name == stdinName {
		return in.Stat()
	}
	return os.Stat(name)
}

func identify(info os.FileInfo) streamID {
	s := info.Sys().(*syscall.Stat_t)
	return streamID{s.Dev, s.Ino}
}

func (a *app) readStream(name string) ([]byte, error) {
	if name == stdinName {
		return readAll(io.NopCloser(a.stdin), "standard input", nil)
	}
	f, err := openStream(name)
	return readAll(f, name, err)
}

// readAll reads and closes what was opened.
func readAll(f io.ReadCloser, name string, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxNamed+1))
	if err == nil && len(text) > maxNamed {
		err = fmt.Errorf("%s: it is larger than %d MiB", name, maxNamed>>20)
	}
	return text, err
}

// openStream opens a file; a descriptor that cannot be opened again, as that of a socket, is used as it is.
func openStream(name string) (*os.File, error) {
	f, err := os.Open(name)
	fd, ok := outfile.Descriptor(name)
	if err == nil || !ok {
		return f, err
	}
	own, dupErr := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if dupErr != nil {
		return nil, err
	}
	return os.NewFile(uintptr(own), name), nil
}

// isStream says whether the command line names a pipe or a device. A link that leads to one from elsewhere does not
// count: it may be that of a stranger's context.
func isStream(name string) bool {
	info, err := os.Lstat(name)
	if strings.HasPrefix(name, "/dev/") || strings.HasPrefix(name, "/proc/") {
		info, err = os.Stat(name)
	}
	return err == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeCharDevice) != 0
}
