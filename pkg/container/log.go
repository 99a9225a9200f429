// This file owns the log of a detached container, as it is written.

package container

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
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
	mu   sync.Mutex
	file *os.File
}

// OpenLog opens the log for what the command says from now on.
func (c *Container) OpenLog() (*Log, error) {
	f, err := os.OpenFile(c.path(logFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	return &Log{file: f}, nil
}

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }

// Stream is a writer for one output of the command: stdout or stderr.
func (l *Log) Stream(name string) io.Writer { return &logStream{l, name} }

type logStream struct {
	log  *Log
	name string
}

// Write implements io.Writer. What is not a whole line yet may be a prompt or a progress bar: it is written, too.
func (s *logStream) Write(p []byte) (int, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	for rest := p; len(rest) > 0; {
		n := bytes.IndexByte(rest, '\n') + 1
		if n == 0 {
			n = len(rest)
		}
		n = min(n, maxLogLine)
		if err := enc.Encode(LogLine{string(rest[:n]), s.name, time.Now().UTC()}); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if _, err := s.log.file.Write(out.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}
