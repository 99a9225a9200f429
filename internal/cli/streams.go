// This file owns the reading of files that a command line names, some of which can be read but once.

package cli

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

// Streams are what files said that can be read but once: pipes, as of <(...), and the standard input. The process that
// the user started reads them, into memory that those which follow it inherit; nothing of it comes to a disk.
type Streams struct {
	stdin io.Reader
	said  map[string][]byte // the contents, by the names that the command line gives
	from  map[streamID]stream
}

// streamID tells streams apart whatever they are called.
type streamID struct{ dev, ino uint64 }

// stream is one that was read under a name, or belongs to something else.
type stream struct{ name, owner string }

// maxNamed is the most that is read of a file that the command line names, as one with a secret.
const maxNamed = 64 << 20

// StdinName is the standard input on a command line.
const StdinName = "-"

// FileReader reads a file that the command line names.
type FileReader func(name string) ([]byte, error)

// Reader reads files for as long as a context lasts.
func (s *Streams) Reader(ctx context.Context) FileReader {
	return func(name string) ([]byte, error) { return s.read(ctx, name) }
}

// read reads a file that the command line names. What can be read once only is remembered.
func (s *Streams) read(ctx context.Context, name string) (text []byte, err error) {
	if text, ok := s.said[name]; ok {
		return text, nil
	}
	info, err := s.stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() || info.Mode().IsRegular() && name != StdinName {
		if f, err := os.Open(name); !errors.Is(err, fs.ErrPermission) {
			return readAll(f, name, err)
		}
	}
	id := identify(info)
	switch from, taken := s.from[id]; {
	case from.owner != "":
		return nil, Usagef("%s: it is %s already, and can be read once only", name, from.owner)
	case taken:
		text = s.said[from.name]
	default:
		err = outfile.Await(ctx, func() (err error) {
			text, err = s.readStream(name)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	s.keep(name, id, text)
	return text, nil
}

// keep remembers what a file said.
func (s *Streams) keep(name string, id streamID, text []byte) {
	if s.said == nil {
		s.said = map[string][]byte{}
	}
	s.said[name] = text
	s.own(id, stream{name: name})
}

// own remembers whose a stream is.
func (s *Streams) own(id streamID, as stream) {
	if s.from == nil {
		s.from = map[streamID]stream{}
	}
	s.from[id] = as
}

// Reserve says what else reads a stream, so that no flag does.
func (s *Streams) Reserve(name, owner string) {
	if info, err := s.stat(name); err == nil && !info.Mode().IsRegular() {
		s.own(identify(info), stream{owner: owner})
	}
}

// stat follows links, and knows standard input by its name.
func (s *Streams) stat(name string) (os.FileInfo, error) {
	if in, ok := s.stdin.(*os.File); ok && name == StdinName {
		return in.Stat()
	}
	return os.Stat(name)
}

// identify says which file it is, whatever it is called.
func identify(info os.FileInfo) streamID {
	s := info.Sys().(*syscall.Stat_t)
	return streamID{s.Dev, s.Ino}
}

// readStream reads to the end, and waits for whoever writes.
func (s *Streams) readStream(name string) ([]byte, error) {
	if name == StdinName {
		return readAll(io.NopCloser(s.stdin), "standard input", nil)
	}
	f, err := OpenStream(name)
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

// OpenStream opens a file; a descriptor that cannot be opened again, as that of a socket, is used as it is.
func OpenStream(name string) (*os.File, error) {
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

// IsStream says whether the command line names a pipe or a device. A link that leads to one from elsewhere does not
// count: it may be that of a stranger's context.
func IsStream(name string) bool {
	info, err := os.Lstat(name)
	if strings.HasPrefix(name, "/dev/") || strings.HasPrefix(name, "/proc/") {
		info, err = os.Stat(name)
	}
	return err == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeCharDevice) != 0
}
