package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/hint"
)

// logLine is a line of a container's log, as docker's json-file has it.
type logLine struct {
	Log    string    `json:"log"`
	Stream string    `json:"stream"`
	Time   time.Time `json:"time"`
}

// logFile keeps what a detached container says.
type logFile struct {
	mu   sync.Mutex
	file *os.File
}

func openLog(name string) (*logFile, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	return &logFile{file: f}, nil
}

// Close closes the file.
func (l *logFile) Close() error { return l.file.Close() }

func (l *logFile) stream(name string) io.Writer { return &logStream{log: l, name: name} }

// logStream is one output of the container. A line is written when it is whole, or long.
type logStream struct {
	log  *logFile
	name string
	rest []byte
}

const maxLogLine = 16 << 10

// Write implements io.Writer.
func (s *logStream) Write(p []byte) (int, error) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	s.rest = append(s.rest, p...)
	for len(s.rest) > 0 {
		i := bytes.IndexByte(s.rest, '\n')
		n := i + 1
		if i < 0 {
			// What is not a whole line yet may be a prompt or a progress bar: it is shown, too.
			n = len(s.rest)
		}
		n = min(n, maxLogLine)
		if err := enc.Encode(logLine{string(s.rest[:n]), s.name, time.Now().UTC()}); err != nil {
			return 0, err
		}
		s.rest = s.rest[n:]
	}
	if _, err := s.log.file.Write(out.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}

func newLogsCommand(a *app) *cobra.Command {
	var follow, times bool
	var tail string
	c := &cobra.Command{
		Use: "logs CONTAINER", Short: "Print what a detached container said", Args: cobra.ExactArgs(1),
		Example: "  gbuild logs -f api\n  gbuild logs --tail 20 -t api",
		RunE: func(c *cobra.Command, args []string) error {
			n := -1
			if tail != "all" {
				var err error
				if n, err = strconv.Atoi(tail); err != nil || n < 0 {
					return usagef("--tail %s: it is a number, or all", tail)
				}
			}
			return a.logs(c.Context(), args[0], n, follow, times)
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the container ends")
	c.Flags().BoolVarP(&times, "timestamps", "t", false, "print the time of each line")
	c.Flags().StringVarP(&tail, "tail", "n", "all", "lines to begin with, from the end")
	return c
}

func (a *app) logs(ctx context.Context, name string, tail int, follow, times bool) error {
	c, err := a.findContainer(name)
	if err != nil {
		return err
	}
	f, err := os.Open(c.path("log"))
	if errors.Is(err, os.ErrNotExist) {
		return hint.Errorf("only containers that were started with -d have", "container %s has no log", c.Name)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	p := &logPrinter{app: a, times: times, in: bufio.NewReader(f)}
	if err := p.print(tail); err != nil {
		return err
	}
	for follow && ctx.Err() == nil {
		over := !c.alive()
		if err := p.print(-1); err != nil || over {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// logPrinter prints the lines of a log that grows.
type logPrinter struct {
	*app
	in    *bufio.Reader
	times bool
	part  []byte // of a line that is being written
}

// print prints what there is; tail is the number of lines, or -1 for all.
func (p *logPrinter) print(tail int) error {
	var lines []logLine
	for {
		b, err := p.in.ReadBytes('\n')
		p.part = append(p.part, b...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
		var l logLine
		if json.Unmarshal(p.part, &l) == nil {
			lines = append(lines, l)
		}
		p.part = nil
		if tail >= 0 && len(lines) > tail {
			lines = lines[1:]
		}
		if tail < 0 {
			if err := p.line(l); err != nil {
				return err
			}
			lines = nil
		}
	}
	for _, l := range lines {
		if err := p.line(l); err != nil {
			return err
		}
	}
	return nil
}

func (p *logPrinter) line(l logLine) error {
	w := p.rawOut
	if l.Stream == "stderr" {
		w = p.rawErr
	}
	text := l.Log
	if p.times {
		text = l.Time.Format(time.RFC3339Nano) + " " + text
	}
	_, err := io.WriteString(w, text)
	return err
}
