// This file owns the registry: how an entry is made, found, and cleared away when its processes were killed.

package container

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// Registry is the directory that has an entry for each container.
type Registry struct{ dir string }

// namesFile is locked while an entry is made, so that no two get one name.
const namesFile = ".names"

// nameGrammar is docker's grammar of a name.
var nameGrammar = lazyregexp.New(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// IsName says whether a text can be the name of a container or a volume.
func IsName(text string) bool { return nameGrammar().MatchString(text) }

// NameError is a name that no container can have, or the start of several IDs.
type NameError struct{ text string }

// Error implements error.
func (e *NameError) Error() string { return e.text }

// Open opens the registry in dir, which it makes where it is missing.
func Open(dir string) (*Registry, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of containers: %w", err)
	}
	return &Registry{dir}, nil
}

// Create makes the entry of a new container from a record that says what is wanted of it. The lock is held by this
// process, and by those that it hands the lock to.
func (r *Registry) Create(wanted Record) (*Container, error) {
	if wanted.Name != "" && !IsName(wanted.Name) {
		return nil, &NameError{fmt.Sprintf("invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", wanted.Name)}
	}
	names, err := r.lockNames()
	if err != nil {
		return nil, err
	}
	defer names.Close()
	r.dropUnfinished()
	c := &Container{Record: wanted}
	c.ID, c.Created, c.Status = randomID(), time.Now(), StatusCreated
	c.dir = filepath.Join(r.dir, c.ID)
	if c.Name == "" {
		c.Name = "run-" + c.ShortID()
	}
	if err := r.checkFree(c.Name); err != nil {
		return nil, err
	}
	for _, step := range c.creation() {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// creation is how an entry comes to be. A process may be killed between any two steps: before the last one the entry does
// not count, and after it the lock says that nobody lives.
func (c *Container) creation() []func() error {
	return []func() error{
		func() error {
			if err := os.Mkdir(c.dir, 0o700); err != nil {
				return fmt.Errorf("making the directory of the container: %w", err)
			}
			return nil
		},
		func() (err error) {
			if c.lock, err = durable.TryLock(c.path(lockFile), durable.Exclusive); err != nil {
				return fmt.Errorf("locking the container: %w", err)
			}
			return nil
		},
		c.Save,
	}
}

// lockNames keeps others from making entries until the file is closed.
func (r *Registry) lockNames() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(r.dir, namesFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of the names: %w", err)
	}
	if err := durable.Hold(f, durable.Exclusive); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// dropUnfinished removes entries whose makers were killed before there was a record. The caller has locked the names, so
// none of them is being made.
func (r *Registry) dropUnfinished() {
	dirs, _ := r.entries()
	for _, dir := range dirs {
		if _, err := os.Lstat(filepath.Join(dir, recordFile)); errors.Is(err, fs.ErrNotExist) {
			_ = os.RemoveAll(dir)
		}
	}
}

func (r *Registry) checkFree(name string) error {
	list, err := r.List()
	if err != nil {
		return err
	}
	for _, other := range list {
		if other.Name == name {
			return hint.Errorf("remove it: gbuild rm -f "+name, "conflict: the container name %q is already in use by container %s", name, other.ShortID())
		}
	}
	return nil
}

func randomID() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// TakeOver returns the container of an ID to a process that was started for it, and that has inherited its lock.
func (r *Registry) TakeOver(id string, lock *os.File) (*Container, error) {
	c := &Container{dir: filepath.Join(r.dir, id), lock: lock}
	return c, c.reload()
}

// List returns all containers, the newest first. What processes left that were killed is cleared away.
func (r *Registry) List() ([]*Container, error) {
	dirs, err := r.entries()
	if err != nil {
		return nil, err
	}
	var list []*Container
	for _, dir := range dirs {
		c := &Container{dir: dir}
		if c.reload() == nil && c.catchUp() {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(x, y *Container) int { return y.Created.Compare(x.Created) })
	return list, nil
}

func (r *Registry) entries() (dirs []string, err error) {
	list, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, fmt.Errorf("reading the directory of containers: %w", err)
	}
	for _, e := range list {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(r.dir, e.Name()))
		}
	}
	return dirs, nil
}

// catchUp brings the record up to date where the processes of the container were killed, and says whether there is still
// an entry.
func (c *Container) catchUp() bool {
	if c.Status == StatusExited || c.Alive() {
		return true
	}
	_ = c.reload() // it may have ended in an orderly way since
	if c.Forget {
		_ = c.Remove()
		return false
	}
	if c.Status != StatusExited {
		c.Status, c.ExitCode, c.Finished = StatusExited, exitKilled, time.Now()
		_ = c.Save()
	}
	return true
}

// Rename gives a container another name, which must be free.
func (r *Registry) Rename(c *Container, name string) error {
	if !IsName(name) {
		return &NameError{fmt.Sprintf("invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name)}
	}
	names, err := r.lockNames()
	if err != nil {
		return err
	}
	defer names.Close()
	if err := r.checkFree(name); err != nil {
		return err
	}
	if c.Alive() { // its own process writes the record
		return c.request(request{Op: opRename, Name: name})
	}
	c.Name = name
	return c.Save()
}

// Find returns the container of a name, or of the start of an ID.
func (r *Registry) Find(name string) (*Container, error) {
	list, err := r.List()
	if err != nil {
		return nil, err
	}
	var found []*Container
	for _, c := range list {
		if c.Name == name || c.ID == name {
			return c, nil
		}
		if name != "" && strings.HasPrefix(c.ID, name) {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return nil, hint.Errorf("gbuild ps -a lists those that there are", "no such container: %s", name)
	case 1:
		return found[0], nil
	}
	return nil, &NameError{name + " is the start of several ids"}
}
