// This file owns directories that what was fetched or unpacked lies in, as long as it is needed.

package files

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/internal/statedir"
)

// scratchDir is a directory for one context, removed with it. That of a process that was killed is removed by the next
// one: it is locked while it is used.
type scratchDir struct {
	path string
	held *os.File
}

// newScratchDir makes a directory, and removes those of processes that were killed.
func newScratchDir(stateDir string) (*scratchDir, error) {
	parent := ""
	if stateDir != "" {
		parent = statedir.Contexts.In(stateDir)
		if err := os.MkdirAll(parent, 0o700); err != nil {
			return nil, err
		}
		reapScratch(parent)
	}
	dir, err := os.MkdirTemp(parent, "context-")
	if err != nil {
		return nil, err
	}
	s := &scratchDir{path: dir}
	// The lock ends with this process, however that ends.
	if s.held, err = os.Open(dir); err == nil {
		err = durable.Hold(s.held, durable.Shared)
	}
	if err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// reapScratch removes the directories that nobody holds.
func reapScratch(parent string) {
	left, _ := os.ReadDir(parent)
	for _, e := range left {
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < time.Minute { // it may not be locked yet
			continue
		}
		f, err := os.Open(filepath.Join(parent, e.Name()))
		if err != nil {
			continue
		}
		if durable.TryHold(f, durable.Exclusive) == nil {
			os.RemoveAll(f.Name())
		}
		f.Close()
	}
}

// remove removes the directory with all that is in it.
func (s *scratchDir) remove() error {
	err := os.RemoveAll(s.path)
	if s.held != nil {
		s.held.Close()
	}
	return err
}
