// This file owns the directory that holds all caches: where things are in it, and that nobody else can write there. Each
// cache is one directory below "mounts", named by the key of its Identity.

package pipcache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// Caches is a directory of cache mounts. Any number of processes may use it at once.
type Caches struct{ dir string }

const (
	mountsDir = "mounts"

	// A RUN sees this directory of a cache.
	dataDir = "data"

	// The Identity of the cache is in this file, whose time is that of the last use.
	metaFile = "meta.json"

	// A flock of this file is the only sign that somebody uses the cache.
	lockFile = "lock"

	// An overlay over data works in this directory.
	workDir = "work"

	// This becomes data when it is complete.
	newData = "data.new"

	// A directory whose name begins like this holds a cache that is being removed.
	trash = ".trash-"
)

// keyGrammar is a hash, and the number of a further directory for sharing=private.
var keyGrammar = lazyregexp.New(`^[0-9a-f]{64}(\.[0-9]+)?$`)

// Open makes dir where it is missing. It refuses one in which others can write: what they put there, builds would
// install. The caches are in a directory of mode 0700 below it, so that dir itself may be one that CI made.
func Open(dir string) (*Caches, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding cache directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, hint.HostErrorf("choose another with --cache-dir or GBUILD_CACHE_DIR", "cache directory %s: it cannot be made: %v", dir, err)
	}
	if err := check(dir, "--cache-dir"); err != nil {
		return nil, err
	}
	mounts := filepath.Join(dir, mountsDir)
	if err := os.Mkdir(mounts, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, hint.HostErrorf("choose another with --cache-dir or GBUILD_CACHE_DIR", "cache directory %s: it cannot be written: %v", dir, err)
	}
	if err := check(mounts, "--cache-dir"); err != nil {
		return nil, err
	}
	if err := os.Chmod(mounts, 0o700); err != nil {
		return nil, fmt.Errorf("closing %s to others: %w", mounts, err)
	}
	return &Caches{mounts}, nil
}

// OpenDir makes a directory for a cache that is none of Caches, where it is missing. It refuses one that is not this
// user's alone. flag is the option that names it.
func OpenDir(dir, flag string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return hint.Errorf("choose another with "+flag, "cache directory %s: it cannot be made: %v", dir, err)
	}
	return check(dir, flag)
}

// check refuses a directory in which somebody else could put what builds then install.
func check(dir, flag string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("looking at cache directory: %w", err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	switch {
	case !info.IsDir():
		return hint.Errorf("choose another with "+flag, "cache directory %s: it is no directory", dir)
	case int(owner) != os.Geteuid():
		return hint.Errorf("choose another with "+flag, "cache directory %s: it belongs to user %d, and this is user %d", dir, owner, os.Geteuid())
	case info.Mode().Perm()&0o022 != 0:
		return hint.Errorf("chmod go-w "+dir, "cache directory %s: others can write in it (mode %04o)", dir, info.Mode().Perm())
	}
	return nil
}

// Dir is the directory that was opened.
func (c *Caches) Dir() string { return filepath.Dir(c.dir) }

// path is the directory of a cache.
func (c *Caches) path(key string) string { return filepath.Join(c.dir, key) }
