// This file owns the right to have a tree in a place, against other processes, and the record of what was there before: it is written
// down beside the tree before anything is changed; so the tree can be taken away again, by the build itself or, where that was killed, by
// the next one.

package snapshotter

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/internal/procfs"
)

// Holding is a place, and what this process has noted of it. Its methods are called one after the other.
type Holding struct {
	dir   string
	own   string
	names []string // kept, as seen from dir
	aside []string // likewise, those that make room

	mu     sync.Mutex // held while the place is taken: by the first tree, or by what will be in it
	held   *os.File   // the lock of the place, against other processes; nil while this one has no tree there
	found  []Found
	mounts []string       // where something was mounted when Place was called
	gone   sync.WaitGroup // see Sweep
}

// NewHolding finds out which of the paths are in a place. kept are never a part of a tree, with all that is in them; aside are files that
// make room for those of the tree, and come back; own is a directory on the filesystem of dir for what is to be known of the tree: it is
// kept, too.
func NewHolding(dir, own string, kept, aside []string) (*Holding, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err == nil {
		err = os.MkdirAll(own, 0o700)
	}
	if err != nil {
		return nil, err
	}
	h := &Holding{dir: dir}
	if h.own, err = resolved(own); err == nil {
		h.names, err = h.inside(append([]string{own}, kept...), resolved)
	}
	if err == nil {
		h.aside, err = h.inside(aside, located)
	}
	return h, err
}

// inside returns those of the paths that are in the place, as seen from there.
func (h *Holding) inside(paths []string, real func(string) (string, error)) (names []string, err error) {
	for _, name := range paths {
		real, err := real(name)
		if err != nil {
			return nil, err
		}
		if inside, ok := strings.CutPrefix(real, strings.TrimSuffix(h.dir, "/")+"/"); ok {
			names = append(names, "/"+inside)
		}
	}
	return names, nil
}

// resolved is a path without links. What does not exist has none.
func resolved(name string) (string, error) {
	real, err := filepath.EvalSymlinks(name)
	if errors.Is(err, fs.ErrNotExist) && name != "/" {
		return located(name)
	}
	return real, err
}

// located is a path without links but itself.
func located(name string) (string, error) {
	dir, err := resolved(filepath.Dir(name))
	return filepath.Join(dir, filepath.Base(name)), err
}

// Dir is the directory of the place, without links.
func (h *Holding) Dir() string { return h.dir }

// record is where it is written what was in the place before. It is there while a tree is, or a part of one.
func (h *Holding) record() string { return filepath.Join(h.own, "found.json") }

// lock is held by the process that has a tree in the place.
func (h *Holding) lock() string { return filepath.Join(h.own, "lock") }

// Begin takes the place for this process, and writes down what is in it. notice is told that another process has it.
func (h *Holding) Begin(ctx context.Context, notice func(text string)) (err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held != nil {
		return nil
	}
	held, err := durable.TryLock(h.lock(), durable.Exclusive)
	if errors.Is(err, durable.ErrLocked) {
		notice("another build works in " + h.dir + "; waiting for its end")
		held, err = durable.Lock(ctx, h.lock(), durable.Exclusive)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(h.takeAway(), h.writeDown()); err != nil {
		return errors.Join(err, held.Close())
	}
	h.held = held
	return nil
}

// writeDown makes the record, and then room for the tree.
func (h *Holding) writeDown() error {
	at, err := h.Place()
	if err == nil {
		h.found, err = at.Survey(h.aside)
	}
	if err != nil {
		return fmt.Errorf("looking at what is in %s: %w", h.dir, err)
	}
	data, err := json.Marshal(h.found)
	if err != nil {
		return err
	}
	if err := durable.Save(h.record(), data); err != nil {
		return err
	}
	return at.SetAside(h.found)
}

// Recover takes away the tree of a process that is dead. One that lives has the lock.
func (h *Holding) Recover() error {
	held, err := durable.TryLock(h.lock(), durable.Exclusive)
	if errors.Is(err, durable.ErrLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(h.takeAway(), held.Close())
}

// End makes the place what it was before Begin. What was taken out of it is removed beside what follows, see Wait.
func (h *Holding) End() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil {
		return nil
	}
	err := errors.Join(h.takeAway(), h.held.Close())
	if h.held = nil; err != nil {
		return fmt.Errorf("taking the files of an image out of %s: %w", h.dir, err)
	}
	return nil
}

// Wait waits for what Sweep has begun.
func (h *Holding) Wait() { h.gone.Wait() }

// takeAway makes the place what the record says, which there is none of afterwards.
func (h *Holding) takeAway() error {
	defer func() { h.remove(spareName); h.Sweep() }()
	data, err := os.ReadFile(h.record())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && h.found == nil {
		err = json.Unmarshal(data, &h.found)
	}
	if err != nil {
		return fmt.Errorf("reading what was in %s: %w", h.dir, err)
	}
	at, err := h.Place()
	if err == nil {
		err = at.clear()
	}
	if err == nil {
		err = at.Restore(h.found)
	}
	h.found = nil
	if err != nil {
		return err
	}
	return os.Remove(h.record())
}

// Sweep removes what was taken out of the place, by this process or by one that is dead, beside what follows.
func (h *Holding) Sweep() { h.remove(goneName) }

func (h *Holding) remove(name string) {
	all, _ := filepath.Glob(filepath.Join(h.own, name+"*"))
	for _, dir := range all {
		h.gone.Go(func() { _ = RemoveAll(dir) }) // what is left is removed by the next build
	}
}

// Names in the directory that is kept begin so.
const (
	goneName  = "gone-"  // what was taken out of the place
	spareName = "spare-" // what is to be moved into it
)

// Spare is the path for a new directory whose files can be moved into the place. It is removed at the end. The place must be held.
func (h *Holding) Spare() string { return filepath.Join(h.own, spareName+rand.Text()) }

// Place is the place with what is kept in it now.
func (h *Holding) Place() (at Place, err error) {
	if h.mounts, err = h.mountPoints(); err != nil {
		return at, err
	}
	at = Place{Dir: h.dir, Own: h.own, Kept: &Kept{}}
	h.found = at.Still(h.found)
	at.Protect(h.found)
	for _, name := range append(h.mounts, h.names...) {
		at.Kept.Hide(name)
	}
	return at, nil
}

// mountPoints lists where something is mounted in the place.
func (h *Holding) mountPoints() ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("finding out what is mounted: %w", err)
	}
	return procfs.MountPoints(string(text), h.dir), nil
}

// SameMounts refuses what a command has left that has moved a directory in which something is mounted: the mount has gone with it.
func (h *Holding) SameMounts() error {
	now, err := h.mountPoints()
	if err != nil {
		return err
	}
	for _, name := range now {
		if !slices.Contains(h.mounts, name) {
			return fmt.Errorf("a command has moved a directory in which something is mounted, so that it is at %s now", name)
		}
	}
	return nil
}

// goneDir is a new directory for what is taken out of the place.
func (p Place) goneDir() string { return filepath.Join(p.Own, goneName+rand.Text()) }
