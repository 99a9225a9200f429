// This file owns the log of a detached container, as it is written: in one file, or in several that follow each other when each
// is large enough.

package container

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// LogLine is a line of a log, or a part of one, as docker's json-file driver has it.
type LogLine struct {
	Log    string    `json:"log"`
	Stream string    `json:"stream"` // stdout or stderr
	Time   time.Time `json:"time"`
}

// maxLogLine is the most that one LogLine has of a longer line.
const maxLogLine = 16 << 10

// Log is the log of a container that writes to it.
type Log struct {
	kept    LogPolicy
	path    string
	streams []*logStream

	mu   sync.Mutex
	file *os.File
	size int64
}

// OpenLog opens the log for what the command says from now on.
func (c *Container) OpenLog(p LogPolicy) (*Log, error) {
	l := &Log{kept: p, path: c.path(logFile)}
	return l, l.open()
}

// open opens the file that is written to.
func (l *Log) open() error {
	if l.kept.Off {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("opening the log: %w", err), f.Close())
	}
	l.file, l.size = f, info.Size()
	return nil
}

// Close writes what is left of the streams, to which nobody writes any more, and closes the file.
func (l *Log) Close() error {
	var err error
	for _, s := range l.streams {
		err = errors.Join(err, s.flush())
	}
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
	}
	return err
}

// Stream is a writer for one output of the command: stdout or stderr.
func (l *Log) Stream(name string) io.Writer {
	if l.kept.Off {
		return io.Discard
	}
	s := &logStream{log: l, name: name}
	l.streams = append(l.streams, s)
	return s
}

type logStream struct {
	log  *Log
	name string
	rest []byte // the beginning of a character whose other bytes have not come yet
}

// Write implements io.Writer. What is not a whole line yet may be a prompt or a progress bar: it is written, too. What is not a
// whole character yet waits for the rest.
func (s *logStream) Write(p []byte) (int, error) {
	all := append(s.rest, p...)
	whole := len(all) - begun(all)
	s.rest = bytes.Clone(all[whole:])
	return len(p), s.write(all[:whole])
}

// flush writes what will never be a whole character.
func (s *logStream) flush() error {
	rest := s.rest
	s.rest = nil
	return s.write(rest)
}

// begun is how many bytes at the end are the beginning of a character.
func begun(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}

// write writes text as lines of the log.
func (s *logStream) write(text []byte) error {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	for rest := text; len(rest) > 0; {
		n := bytes.IndexByte(rest, '\n') + 1
		if n == 0 {
			n = len(rest)
		}
		if n > maxLogLine {
			n = maxLogLine - begun(rest[:maxLogLine])
		}
		if err := enc.Encode(LogLine{string(rest[:n]), s.name, time.Now().UTC()}); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return s.log.write(out.Bytes())
}

// write appends whole lines, and begins another file before them where they would make this one too large.
func (l *Log) write(lines []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept.MaxSize > 0 && l.size > 0 && l.size+int64(len(lines)) > l.kept.MaxSize {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	n, err := l.file.Write(lines)
	l.size += int64(n)
	return err
}

// rotate gives each file the name of the next older one; the oldest is removed.
func (l *Log) rotate() error {
	err := l.file.Close()
	oldest := l.kept.MaxFile - 1
	if oldest <= 0 {
		err = errors.Join(err, os.Remove(l.path))
	}
	for n := oldest; n > 0; n-- {
		if missing := os.Rename(rotated(l.path, n-1), rotated(l.path, n)); missing != nil && !errors.Is(missing, fs.ErrNotExist) {
			err = errors.Join(err, missing)
		}
	}
	return errors.Join(err, l.open())
}

// rotated is the name of the n-th older file of a log; 0 is the one that is written to.
func rotated(path string, n int) string {
	if n == 0 {
		return path
	}
	return path + "." + strconv.Itoa(n)
}
