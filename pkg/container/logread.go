// This file owns how a log is read: from the end, and while it grows.

package container

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/gbuild/gbuild/internal/hint"
)

// LogOptions say which part of a log is wanted.
type LogOptions struct {
	Tail   int  // lines to begin with, from the end; negative: all
	Follow bool // go on until the container is over
}

// followEvery is how often a log that is followed is looked at.
const followEvery = 50 * time.Millisecond

// ReadLog gives the lines of the container's log to show, in their order. What is no line, as a process leaves it that was
// killed while it wrote, is passed over.
func (c *Container) ReadLog(ctx context.Context, o LogOptions, show func(LogLine) error) error {
	f, err := os.Open(c.path(logFile))
	if errors.Is(err, fs.ErrNotExist) {
		return hint.Errorf("only containers that were started with -d have", "container %s has no log", c.Name)
	}
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	defer f.Close()
	r := &logReader{in: bufio.NewReader(f)}
	if err := r.tail(o.Tail, show); err != nil {
		return err
	}
	for o.Follow && ctx.Err() == nil {
		over := !c.Alive() // This is asked before the last look, so that nothing written meanwhile is missed.
		if err := r.each(show); err != nil || over {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(followEvery):
		}
	}
	return nil
}

// logReader reads a file that may grow.
type logReader struct {
	in   *bufio.Reader
	part []byte // the beginning of a line that is being written
}

// each gives the lines that are there now to show.
func (r *logReader) each(show func(LogLine) error) error {
	for {
		text, err := r.in.ReadBytes('\n')
		r.part = append(r.part, text...)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
		var l LogLine
		bad := json.Unmarshal(r.part, &l)
		r.part = r.part[:0]
		if bad != nil {
			continue
		}
		if err := show(l); err != nil {
			return err
		}
	}
}

// tail is each for the last lines; a negative number is all.
func (r *logReader) tail(n int, show func(LogLine) error) error {
	if n < 0 {
		return r.each(show)
	}
	var last []LogLine
	err := r.each(func(l LogLine) error {
		if last = append(last, l); len(last) > n {
			last = last[1:]
		}
		return nil
	})
	for _, l := range last {
		if err := show(l); err != nil {
			return err
		}
	}
	return err
}
