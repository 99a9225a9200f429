// This file owns the list of caches that people are shown, and finds the cache that they mean by a word.

package pipcache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// Info describes one cache.
type Info struct {
	Identity

	// The cache's directory has this name: that of the identity, with a number where it is one of several.
	Key string

	// The files of the cache are in this directory.
	Dir string

	// These are bytes on disk; a file with several names counts once.
	Size  int64
	Files int

	LastUsed time.Time
	Busy     bool // Somebody has a lease on the cache now.
	Wheels   []Wheel
}

// List describes all caches, the one that was used last first. Those whose files belong to others on this machine are left out
// where this process has one id only.
func (c *Caches) List() ([]Info, error) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("listing caches: %w", err)
	}
	var all []Info
	for _, e := range entries {
		if !e.IsDir() || !keyGrammar().MatchString(e.Name()) {
			continue
		}
		info, err := c.describe(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // Somebody makes or removes it.
		}
		if err != nil {
			return nil, fmt.Errorf("listing caches: %w", err)
		}
		all = append(all, info)
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].LastUsed.After(all[j].LastUsed) })
	return all, nil
}

// describe walks through a cache, which takes time for one with many files.
func (c *Caches) describe(key string) (Info, error) {
	dir := c.path(key)
	identity, meta, err := readIdentity(dir)
	if err != nil {
		return Info{}, err
	}
	if identity.beyond() {
		return Info{}, fs.ErrNotExist
	}
	info := Info{Identity: identity, Key: key, Dir: filepath.Join(dir, dataDir), LastUsed: meta.ModTime(), Busy: busy(dir)}
	found, err := scan(info.Dir, nil)
	if err != nil {
		return Info{}, err
	}
	info.Size, info.Files, info.Wheels = found.bytes, found.files, found.wheels
	return info, nil
}

// UnknownError says that an id means no cache, or several.
type UnknownError struct {
	ID    string
	Means []string // It may mean each of these.
	Have  string   // These are all ids that there are.
}

// Error implements error.
func (e *UnknownError) Error() string {
	if len(e.Means) > 0 {
		return fmt.Sprintf("%q may mean several caches: %s", e.ID, strings.Join(e.Means, ", "))
	}
	return fmt.Sprintf("there is no cache %q", e.ID)
}

// Hint lists what there is.
func (e *UnknownError) Hint() string {
	switch {
	case len(e.Means) > 0:
		return "give the whole id"
	case e.Have == "":
		return "there are no caches at all"
	}
	return "there are: " + e.Have
}

// Match finds the caches that an id means: a whole id, the start of one, or the start of a key. One id may have several: for
// other owners, and for private use.
func Match(all []Info, id string) ([]Info, error) {
	var exact, started []Info
	for _, i := range all {
		switch {
		case i.ID == id || i.Key == id:
			exact = append(exact, i)
		case id != "" && (strings.HasPrefix(i.ID, id) || strings.HasPrefix(i.Key, id)):
			started = append(started, i)
		}
	}
	if len(exact) > 0 {
		return exact, nil
	}
	ids := names(started)
	if len(started) == 0 {
		return nil, &UnknownError{ID: id, Have: names(all)}
	}
	for _, i := range started {
		if i.ID != started[0].ID {
			return nil, &UnknownError{ID: id, Means: strings.Split(ids, ", ")}
		}
	}
	return started, nil
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
