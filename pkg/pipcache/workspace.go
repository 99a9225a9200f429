// This file owns directories beside the caches that a process has for itself while it runs. A lock beside each is the only sign
// of life: whoever makes one removes those that killed processes left behind.

package pipcache

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gbuild/gbuild/internal/durable"
)

const workPrefix = ".work-"

// Workspace makes a directory on the file system of the caches, with mode 0700, and returns what removes it.
func (c *Caches) Workspace() (dir string, remove func() error, err error) {
	c.reapWorkspaces()
	for {
		dir = filepath.Join(c.dir, workPrefix+rand.Text())
		f, err := durable.TryLock(dir+".lock", durable.Exclusive)
		if errors.Is(err, durable.ErrLocked) { // Another process holds it to remove it.
			continue
		}
		if err != nil {
			return "", nil, fmt.Errorf("making a directory beside the caches: %w", err)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			f.Close()
			return "", nil, fmt.Errorf("making a directory beside the caches: %w", err)
		}
		return dir, func() error {
			defer f.Close()
			return errors.Join(removeAll(dir), os.Remove(dir+".lock"))
		}, nil
	}
}

// reapWorkspaces removes those that nobody has. What it cannot remove, the next one may.
func (c *Caches) reapWorkspaces() {
	locks, _ := filepath.Glob(filepath.Join(c.dir, workPrefix+"*.lock"))
	for _, name := range locks {
		f, err := durable.TryLock(name, durable.Exclusive)
		if err != nil {
			continue
		}
		if removeAll(strings.TrimSuffix(name, ".lock")) == nil {
			_ = os.Remove(name)
		}
		f.Close()
	}
}
