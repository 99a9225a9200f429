// This file owns how a container that is over comes to life again: what is kept for that, and the way back to the status created.

package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/internal/hint"
)

// Part is a file of an entry that stays for a further start. It may have secrets, and only the user can read it.
type Part string

// The parts of an entry; what is in them is up to who runs the container.
const (
	Plan  Part = "plan"  // the command line
	Image Part = "image" // what the image says
)

// filesDir has the files that the container has changed.
const filesDir = "files"

// volumesDir has its volumes without a name.
const volumesDir = "volumes"

// Keep writes a part, as JSON.
func (c *Container) Keep(p Part, v any) error {
	text, err := json.Marshal(v)
	if err == nil {
		err = durable.Replace(c.path(string(p)), text)
	}
	if err != nil {
		return fmt.Errorf("keeping the %s of the container: %w", p, err)
	}
	return nil
}

// Kept reads a part.
func (c *Container) Kept(p Part, v any) error {
	text, err := os.ReadFile(c.path(string(p)))
	if errors.Is(err, os.ErrNotExist) {
		return hint.Errorf("only those stay for a further start that were started with -d, and without --rm", "container %s has no %s", c.Name, p)
	}
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("reading the %s of container %s: %w", p, c.Name, err)
	}
	return nil
}

// FilesDir is where the files are that the container has changed. It is not there before the first start, and never where the
// entry is forgotten with the end.
func (c *Container) FilesDir() string { return c.path(filesDir) }

// VolumesDir is where its volumes without a name are, which stay as long as its files do.
func (c *Container) VolumesDir() string { return c.path(volumesDir) }

// HasFiles says whether there are some.
func (c *Container) HasFiles() bool { return exists(c.FilesDir()) }

// ErrRunning says that a container is not over.
var ErrRunning = errors.New("it is running")

// Reopen takes hold of a container that is over, for a process that is to start it again.
func (c *Container) Reopen() error {
	if err := c.Hold(); err != nil {
		return err
	}
	c.again = true
	_ = os.Remove(c.path(socketFile)) // that of the life before
	c.Status, c.Restarts, c.Ports, c.Error, c.Pid, c.Health = StatusCreated, 0, nil, "", 0, nil
	return c.Save()
}

// Hold takes hold of a container that is over, as long as this process lives.
func (c *Container) Hold() error {
	lock, err := durable.TryLock(c.path(lockFile), durable.Exclusive)
	if errors.Is(err, durable.ErrLocked) {
		return fmt.Errorf("container %s: %w", c.Name, ErrRunning)
	}
	if err != nil {
		return fmt.Errorf("locking the container: %w", err)
	}
	if err := c.reload(); err != nil {
		return errors.Join(err, lock.Close())
	}
	c.lock = lock
	return nil
}

// abandon ends a container whose start failed: one that never ran is forgotten.
func (c *Container) abandon(code int) error {
	if !c.again {
		return c.Remove()
	}
	if err := c.reload(); err != nil {
		return err
	}
	c.Status, c.ExitCode, c.Finished = StatusExited, code, time.Now()
	return c.Save()
}
