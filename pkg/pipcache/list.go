package pipcache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/gbuild/gbuild/internal/durable"
)

// Info describes one cache.
type Info struct {
	ID       string
	Trust    string // whose it is; empty for one that a version without scopes made
	Scope    string
	About    string // what the scope is, for people
	Key      string // name of its directory
	Dir      string // its data
	Size     int64  // bytes on disk; a file with several names counts once
	Files    int
	LastUsed time.Time
	Busy     bool // somebody has a lease on it now
	Wheels   []Wheel
}

// List describes all caches, the one that was used last first.
func (c *Caches) List() ([]Info, error) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("listing caches: %w", err)
	}
	var all []Info
	for _, e := range entries {
		if !e.IsDir() || !entryGrammar().MatchString(e.Name()) {
			continue
		}
		info, err := c.describe(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // being made, or being removed
		}
		if err != nil {
			return nil, fmt.Errorf("listing caches: %w", err)
		}
		all = append(all, info)
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].LastUsed.After(all[j].LastUsed) })
	return all, nil
}

func (c *Caches) describe(name string) (Info, error) {
	dir := filepath.Join(c.dir, name)
	m, meta, err := readMeta(dir)
	if err != nil {
		return Info{}, err
	}
	info := Info{ID: m.ID, Trust: m.Trust, Scope: m.Scope, About: m.About, Key: name, Dir: filepath.Join(dir, dataDir), LastUsed: meta.ModTime(), Busy: busy(dir)}
	found, err := scan(info.Dir, nil)
	if err != nil {
		return Info{}, err
	}
	info.Size, info.Files, info.Wheels = found.bytes, found.files, found.wheels
	return info, nil
}

// busy tries the lock without making anything.
func busy(dir string) bool {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(durable.TryHold(f, durable.Exclusive), durable.ErrLocked)
}

// contents is what a walk through a cache finds.
type contents struct {
	bytes  int64 // on disk
	files  int
	wheels []Wheel
}

// scan walks a cache without following links: what is in it was written by the commands of builds. What this user may
// not read is counted as far as it is seen. With since, only files that changed since then count.
func scan(dir string, since *syscall.Timespec) (contents, error) {
	var c contents
	root, err := os.OpenRoot(dir)
	if err != nil {
		return c, fmt.Errorf("reading cache: %w", err)
	}
	defer root.Close()
	seen := map[[2]uint64]bool{}
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return passOver(path, err)
		}
		info, err := d.Info()
		if err != nil {
			return passOver(path, err)
		}
		st := info.Sys().(*syscall.Stat_t)
		id := [2]uint64{uint64(st.Dev), st.Ino}
		if seen[id] && !d.IsDir() || since != nil && !changed(st, *since) {
			return nil
		}
		seen[id] = true
		if since == nil || !d.IsDir() {
			c.bytes += st.Blocks * 512
		}
		if d.Type().IsRegular() {
			c.files++
		}
		if w, ok := wheelAt(root, path, info); ok {
			c.wheels = append(c.wheels, w)
		}
		return nil
	})
	sort.Slice(c.wheels, func(i, j int) bool { return c.wheels[i].less(c.wheels[j]) })
	return c, err
}

// passOver ignores what vanished or is closed to this user, but not the cache itself.
func passOver(path string, err error) error {
	if path != "." && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
		return nil
	}
	return fmt.Errorf("reading cache: %w", err)
}

// changed compares the time that nobody can set: ctime. Equal is changed, because the clock of a file system may stand
// still for some milliseconds.
func changed(st *syscall.Stat_t, since syscall.Timespec) bool {
	return st.Ctim.Nano() >= since.Nano()
}

// Usage is what came into a cache during a lease. Other builds that share the cache count too.
type Usage struct {
	Files  int
	Bytes  int64
	Wheels []Wheel // fetched or built since
}

// Usage says what is new in the cache since Acquire.
func (l *Lease) Usage() (Usage, error) {
	c, err := scan(l.Dir(), &l.from)
	return Usage{c.files, c.bytes, c.wheels}, err
}

// names lists ids for messages, each once.
func names(all []Info) string {
	seen := map[string]bool{}
	var ids []string
	for _, i := range all {
		if !seen[i.ID] {
			seen[i.ID] = true
			ids = append(ids, i.ID)
		}
	}
	return strings.Join(ids, ", ")
}
