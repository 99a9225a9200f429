package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/internal/hint"
)

// container is what is kept of one run: a directory under the state's containers/ with this record, a lock that is
// held as long as it lives, the socket by which it is spoken to and, where it was detached, its log.
type container struct {
	ID, Name, Image   string
	Command           []string
	Created           time.Time
	Started, Finished time.Time
	Status            string // created, running, restarting or exited
	ExitCode          int
	Pid, Restarts     int
	Ports             []string
	Detached, Forget  bool
	User, WorkDir     string
	StopSignal        string
	StopTimeout       int
	Error             string
	dir               string
	held              *os.File
}

const (
	statusCreated    = "created"
	statusRunning    = "running"
	statusRestarting = "restarting"
	statusExited     = "exited"
)

func (c *container) path(name string) string { return filepath.Join(c.dir, name) }

func (a *app) containersDir() (string, error) {
	state, err := a.stateDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(state, "containers")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making the directory of containers: %w", err)
	}
	return dir, nil
}

// register makes the directory of a new container. Its lock is held by this process, and by those that it hands the
// file to.
func (a *app) register(ctx context.Context, o *runOptions, image string, command []string) (*container, error) {
	if o.name != "" && !nameGrammar().MatchString(o.name) {
		return nil, usagef("invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", o.name)
	}
	dir, err := a.containersDir()
	if err != nil {
		return nil, err
	}
	names, err := durable.Lock(ctx, filepath.Join(dir, ".names"), durable.Exclusive)
	if err != nil {
		return nil, err
	}
	defer names.Close()
	others, err := a.containers()
	if err != nil {
		return nil, err
	}
	id := randomID()
	c := &container{ID: id, Name: o.name, Image: image, Command: command, Created: time.Now(), Status: statusCreated, Detached: o.detach,
		Forget: !o.detach || o.rmGiven && o.rm, StopSignal: o.stopSignal, StopTimeout: o.stopTimeout, dir: filepath.Join(dir, id)}
	if c.Name == "" {
		c.Name = "run-" + short(id)
	}
	for _, other := range others {
		if other.Name == c.Name {
			return nil, hint.Errorf("remove it: gbuild rm -f "+c.Name, "conflict: the container name %q is already in use by container %s", c.Name, short(other.ID))
		}
	}
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of the container: %w", err)
	}
	if c.held, err = durable.Lock(ctx, c.path("lock"), durable.Exclusive); err != nil {
		return nil, err
	}
	return c, c.save()
}

func randomID() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// save writes the record so that a reader sees the old one or the new one.
func (c *container) save() error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err == nil {
		err = durable.Replace(c.path("state.json"), b)
	}
	if err != nil {
		return fmt.Errorf("writing the record of the container: %w", err)
	}
	return nil
}

func (c *container) remove() { _ = os.RemoveAll(c.dir) }

// reload reads the record again.
func (c *container) reload() error {
	b, err := os.ReadFile(c.path("state.json"))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, c)
}

// alive says whether the processes of the container are there: the lock cannot be had.
func (c *container) alive() bool {
	f, err := durable.TryLock(c.path("lock"), durable.Shared)
	if err == nil {
		f.Close()
	}
	return errors.Is(err, durable.ErrLocked)
}

// wait returns when the container is over.
func (c *container) wait() error {
	f, err := os.Open(c.path("lock"))
	if err != nil {
		return fmt.Errorf("opening lock: %w", err)
	}
	return errors.Join(durable.Hold(f, durable.Shared), f.Close())
}

// containers lists what there is, the newest first. What a process left that was killed is cleared away.
func (a *app) containers() ([]*container, error) {
	dir, err := a.containersDir()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the directory of containers: %w", err)
	}
	var list []*container
	for _, e := range entries {
		c := &container{dir: filepath.Join(dir, e.Name())}
		if !e.IsDir() || c.reload() != nil {
			continue
		}
		if c.Status != statusExited && !c.alive() {
			if c.reload(); c.Forget {
				c.remove()
				continue
			}
			if c.Status != statusExited {
				c.Status, c.ExitCode, c.Finished = statusExited, exitSignals+int(unix.SIGKILL), time.Now()
				_ = c.save()
			}
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(x, y *container) int { return y.Created.Compare(x.Created) })
	return list, nil
}

// findContainer finds one by name, or by the start of its id.
func (a *app) findContainer(name string) (*container, error) {
	list, err := a.containers()
	if err != nil {
		return nil, err
	}
	var found []*container
	for _, c := range list {
		if c.Name == name || c.ID == name {
			return c, nil
		}
		if name != "" && strings.HasPrefix(c.ID, name) {
			found = append(found, c)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	if len(found) > 1 {
		return nil, usagef("%s is the start of several ids", name)
	}
	return nil, hint.Errorf("gbuild ps -a lists those that there are", "no such container: %s", name)
}
