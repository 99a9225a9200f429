package pipcache

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// Caches is a directory of cache mounts. Any number of processes may use it at once.
//
// Each cache is one directory, named by a hash, with three things in it: data (what a RUN sees), meta.json (what the
// hash stands for; its mtime is the last use) and lock (flock: the only sign of life).
type Caches struct{ dir string }

const (
	mountsDir = "mounts"
	dataDir   = "data"
	metaFile  = "meta.json"
	lockFile  = "lock"
	workDir   = "work"     // of an overlay over data
	newPrefix = "data.new" // data that is still made
	trash     = ".trash-"  // a cache that is being removed
)

// entryGrammar is a hash, and the number of a further directory for sharing=private.
var entryGrammar = lazyregexp.New(`^[0-9a-f]{64}(\.[0-9]+)?$`)

// Open makes dir where it is missing. It refuses one in which others can write: what they put there, builds would
// install. The caches are in a directory of mode 0700 below it, so that dir itself may be one that CI made.
func Open(dir string) (*Caches, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding cache directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, hint.Errorf("choose another with --cache-dir", "cache directory %s: it cannot be made: %v", dir, err)
	}
	if err := check(dir, "--cache-dir"); err != nil {
		return nil, err
	}
	mounts := filepath.Join(dir, mountsDir)
	if err := os.Mkdir(mounts, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, hint.Errorf("choose another with --cache-dir", "cache directory %s: it cannot be written: %v", dir, err)
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

// Dir is the directory that holds the caches.
func (c *Caches) Dir() string { return filepath.Dir(c.dir) }

// meta is what a hash stands for.
type meta struct {
	ID    string  `json:"id"`
	Trust string  `json:"trust,omitempty"`
	Scope string  `json:"scope,omitempty"`
	UID   *int    `json:"uid,omitempty"`
	GID   *int    `json:"gid,omitempty"`
	Mode  *uint32 `json:"mode,omitempty"`
	About string  `json:"about,omitempty"` // for people
}

func newMeta(id string, o Options) meta {
	m := meta{ID: id, Trust: o.Trust, Scope: o.Scope, About: o.About}
	if o.OwnerGiven {
		m.UID, m.GID = &o.UID, &o.GID
	}
	if o.Mode != 0 {
		m.Mode = &o.Mode
	}
	return m
}

// name is the directory of a cache. Every part is framed by its length, so that no two caches share one; an id is never
// part of a path.
func (m meta) name() string {
	h := sha256.New()
	frame := func(s string) {
		_ = binary.Write(h, binary.BigEndian, uint64(len(s))) // a hash does not fail
		h.Write([]byte(s))
	}
	frame(m.Scope)
	frame(m.ID)
	if m.Trust != "" {
		frame("trust")
		frame(m.Trust)
	}
	if m.UID != nil {
		frame("owner")
		frame(fmt.Sprintf("%d:%d", *m.UID, *m.GID))
	}
	if m.Mode != nil {
		frame("mode")
		frame(strconv.FormatUint(uint64(*m.Mode), 8))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func readMeta(dir string) (meta, os.FileInfo, error) {
	var m meta
	path := filepath.Join(dir, metaFile)
	src, err := os.ReadFile(path)
	if err != nil {
		return m, nil, fmt.Errorf("reading cache: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return m, nil, fmt.Errorf("reading cache: %w", err)
	}
	if err := json.Unmarshal(src, &m); err != nil {
		return m, nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return m, info, nil
}

// write makes meta.json appear whole.
func (m meta) write(dir string) error {
	src, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("writing cache: %w", err)
	}
	if err := durable.Save(filepath.Join(dir, metaFile), src); err != nil {
		return fmt.Errorf("writing cache: %w", err)
	}
	return nil
}
