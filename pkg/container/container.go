// This file owns one entry of the registry: its files, its record and its lock.

package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gbuild/gbuild/internal/durable"
)

// The files of an entry. The package's comment says what they hold.
const (
	recordFile   = "state.json"
	lockFile     = "lock"
	socketFile   = "control"
	logFile      = "log"
	messagesFile = "messages"
)

// Container is one entry of a Registry.
type Container struct {
	Record
	dir  string
	lock *os.File // nil in a process that is none of the container's

	again bool // it has run before, and is to stay whatever becomes of this start
}

// Dir is the directory of the entry.
func (c *Container) Dir() string { return c.dir }

// Lock is the lock of the container, for a process that is to be one of its own. It is nil where this process has none.
func (c *Container) Lock() *os.File { return c.lock }

// LogPath is the file that its log is written to.
func (c *Container) LogPath() string { return c.path(logFile) }

func (c *Container) path(name string) string { return filepath.Join(c.dir, name) }

// Save writes the record. A reader sees the old one or the new one.
func (c *Container) Save() error {
	text, err := json.MarshalIndent(c.Record, "", "  ")
	if err == nil {
		err = durable.Replace(c.path(recordFile), text)
	}
	if err != nil {
		return fmt.Errorf("writing the record of the container: %w", err)
	}
	return nil
}

// reload reads the record again.
func (c *Container) reload() error {
	text, err := os.ReadFile(c.path(recordFile))
	if err == nil {
		err = json.Unmarshal(text, &c.Record)
	}
	if err != nil {
		return fmt.Errorf("reading the record of the container: %w", err)
	}
	return nil
}

// Remove removes the entry, with the log.
func (c *Container) Remove() error { return os.RemoveAll(c.dir) }

// Alive says whether a process of the container lives: then its lock cannot be had.
func (c *Container) Alive() bool {
	f, err := os.Open(c.path(lockFile))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(durable.TryHold(f, durable.Shared), durable.ErrLocked)
}

// Wait returns when the container is over.
func (c *Container) Wait() error {
	f, err := os.Open(c.path(lockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is over, and forgotten
	}
	if err != nil {
		return fmt.Errorf("opening the lock of the container: %w", err)
	}
	defer f.Close()
	return durable.Hold(f, durable.Shared)
}
