// This file owns how a log is read: from its end, and while it grows into one file after another.

package container

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gbuild/gbuild/internal/hint"
)

// LogOptions say which part of a log is wanted.
type LogOptions struct {
	Tail         int       // lines to begin with, from the end; negative: all
	Follow       bool      // go on until the container is over
	Since, Until time.Time // the zero time is no bound
}

// followEvery is how often a log that is followed is looked at.
const followEvery = 50 * time.Millisecond

// errEnough ends reading at the first line that is too late.
var errEnough = errors.New("the rest is later")

// ReadLog gives the lines of the container's log to show, in their order. What is no line, as a process leaves it that was
// killed while it wrote, is passed over.
func (c *Container) ReadLog(ctx context.Context, o LogOptions, show func(LogLine) error) error {
	r := &logReader{path: c.path(logFile), show: func(l LogLine) error {
		switch {
		case l.Time.Before(o.Since):
			return nil
		case !o.Until.IsZero() && l.Time.After(o.Until):
			return errEnough
		}
		return show(l)
	}}
	defer r.close()
	if err := r.begin(o.Tail); err != nil {
		return err
	}
	if len(r.files) == 0 {
		return hint.Errorf("only containers that were started with -d have, without --log-driver none", "container %s has no log", c.Name)
	}
	err := r.read()
	for o.Follow && err == nil && ctx.Err() == nil {
		over := !c.Alive() || !o.Until.IsZero() && time.Now().After(o.Until) // This is asked before the last look, so that nothing written meanwhile is missed.
		if err = r.read(); over {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(followEvery):
		}
	}
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// logReader reads files that follow each other, the last of which may grow.
type logReader struct {
	path  string
	show  func(LogLine) error
	files []*os.File // the oldest first; those that were read to their end are closed and gone
	in    *bufio.Reader
	part  []byte // the beginning of a line that is being written
}

func (r *logReader) close() {
	for _, f := range r.files {
		f.Close()
	}
}

// openLogs opens all files of a log, the oldest first. They are opened from the newest on: one that gets an older name meanwhile is
// seen twice, and never missed.
func openLogs(path string) (files []*os.File, err error) {
	for n := 0; ; n++ {
		f, err := os.Open(rotated(path, n))
		if errors.Is(err, os.ErrNotExist) && (n > 0 || !exists(rotated(path, 1))) {
			return files, nil
		}
		if errors.Is(err, os.ErrNotExist) { // between two files
			continue
		}
		if err != nil {
			return files, fmt.Errorf("opening the log: %w", err)
		}
		if len(files) > 0 && sameFile(f, files[0]) {
			f.Close()
			continue
		}
		files = slices.Insert(files, 0, f)
	}
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

func sameFile(a, b *os.File) bool {
	x, err1 := a.Stat()
	y, err2 := b.Stat()
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// begin goes to the line that is so many before the end; a negative number is all.
func (r *logReader) begin(tail int) (err error) {
	if r.files, err = openLogs(r.path); err != nil || tail < 0 {
		return err
	}
	t := tailer{want: tail}
	for n := len(r.files) - 1; n >= 0; n-- {
		at, err := t.find(r.files[n])
		if err == nil {
			_, err = r.files[n].Seek(at, io.SeekStart)
		}
		if err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
		if t.lines > t.want {
			for _, older := range r.files[:n] {
				older.Close()
			}
			r.files = r.files[n:]
			return nil
		}
	}
	return nil
}

// read shows what there is now.
func (r *logReader) read() error {
	for {
		if len(r.files) == 0 {
			return nil
		}
		if r.in == nil {
			r.in = bufio.NewReader(r.files[0])
		}
		// Whether there is a newer file is asked before the last look at this one.
		newer, err := r.newer()
		if err != nil {
			return err
		}
		if err := r.each(); err != nil || !newer {
			return err
		}
		r.files[0].Close()
		r.files, r.in, r.part = r.files[1:], nil, nil
	}
}

// newer says whether this file is not the one that is written to, and opens those after it.
func (r *logReader) newer() (bool, error) {
	if len(r.files) > 1 {
		return true, nil
	}
	now, err := os.Stat(r.path)
	if err != nil { // the log was removed, or is between two files
		return false, nil
	}
	own, err := r.files[0].Stat()
	if err != nil || os.SameFile(now, own) {
		return false, err
	}
	all, err := openLogs(r.path)
	if err != nil {
		return false, err
	}
	// What is older than this one was read.
	seen := slices.IndexFunc(all, func(f *os.File) bool { return sameFile(f, r.files[0]) })
	for _, f := range all[:seen+1] {
		f.Close()
	}
	r.files = append(r.files, all[seen+1:]...)
	return len(r.files) > 1, nil
}

// each shows the lines of this file that are there now.
func (r *logReader) each() error {
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
		if err := r.show(l); err != nil {
			return err
		}
	}
}

// tailer finds where the last lines of a log begin, without reading what is before them.
type tailer struct {
	want, lines int
	begun       bool
}

// tailBlock is how much is read at once.
const tailBlock = 64 << 10

// find reads a file from its end, and returns where reading is to begin: it goes on in an older file unless lines is larger than
// want by then.
func (t *tailer) find(f *os.File) (at int64, err error) {
	at, err = f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	var rest []byte // what was read of the file from at on, and is not looked at yet
	start := at
	for {
		// The last record in rest is whole when another one ends before it.
		body := bytes.TrimSuffix(rest, []byte("\n"))
		cut := bytes.LastIndexByte(body, '\n') + 1
		if cut == 0 && start > 0 {
			n := min(start, tailBlock)
			block := make([]byte, n, int(n)+len(rest))
			if _, err := f.ReadAt(block, start-n); err != nil {
				return 0, err
			}
			start -= n
			rest = append(block, rest...)
			continue
		}
		if len(rest) == 0 {
			return 0, nil
		}
		if t.count(rest[cut:]); t.lines > t.want {
			return start + int64(len(rest)), nil
		}
		rest = rest[:cut]
	}
}

// count notes a record that ends a line, or is the last of all.
func (t *tailer) count(record []byte) {
	var l LogLine
	if json.Unmarshal(record, &l) != nil {
		return
	}
	if !t.begun || strings.HasSuffix(l.Log, "\n") {
		t.lines++
	}
	t.begun = true
}
