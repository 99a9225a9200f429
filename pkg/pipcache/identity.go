// This file owns what names a cache. Two leases are of one cache if they ask for the same id, trust, scope, user, group and mode, and keep owners in the same way.
// The hash of these is the name of the cache's directory, and meta.json in it says what was hashed.

package pipcache

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Options say which cache is meant beside its id, and how a new one starts.
type Options struct {
	// The trust is whose the cache is: nobody else gets it by its id.
	Trust string

	// The scope parts caches of one owner and equal ids.
	Scope string

	// This text tells people what the scope of a new cache is. It names nothing.
	About string

	// This user and group own a new cache. They are a part of its name if somebody chose them.
	UID, GID   int
	OwnerGiven bool

	// These are the permission bits of a new cache, and a part of its name. 0 means 0755, and no part of the name.
	Mode uint32

	// Seed fills a new cache. What it sets of the metadata of dir stays, unless it is given here.
	Seed func(dir string) error

	// Waiting is called once if another holds the cache and has to be waited for.
	Waiting func(holder string)
}

// Identity is what the name of a cache's directory stands for. The form as JSON is that of meta.json, and a part of the
// catalogs that travel.
type Identity struct {
	ID    string  `json:"id"`
	Trust string  `json:"trust,omitempty"` // This is empty in a cache that a version without scopes made.
	Scope string  `json:"scope,omitempty"`
	UID   *int    `json:"uid,omitempty"`
	GID   *int    `json:"gid,omitempty"`
	Mode  *uint32 `json:"mode,omitempty"`

	Marked bool `json:"marked,omitempty"` // Owners in it are marks (rootfs.Marked): such a cache is none of those with real ones.

	About string `json:"about,omitempty"` // Only people read this, so it is not hashed.
}

// newIdentity is that of the cache that somebody asks for.
func newIdentity(id string, o Options) Identity {
	i := Identity{ID: id, Trust: o.Trust, Scope: o.Scope, About: o.About, Marked: rootfs.Marked()}
	if o.OwnerGiven {
		i.UID, i.GID = &o.UID, &o.GID
	}
	if o.Mode != 0 {
		i.Mode = &o.Mode
	}
	return i
}

// Options are those that lead to the cache of this identity. A new one whose owner nobody chose belongs to this user.
func (i Identity) Options() Options {
	o := Options{Trust: i.Trust, Scope: i.Scope, UID: os.Geteuid(), GID: os.Getegid()}
	if i.UID != nil && i.GID != nil {
		o.OwnerGiven, o.UID, o.GID = true, *i.UID, *i.GID
	}
	if i.Mode != nil {
		o.Mode = *i.Mode
	}
	return o
}

// Key is the name of the cache's directory. Every part is framed by its length, so that no two caches share one; an id is
// never part of a path.
func (i Identity) Key() string {
	h := sha256.New()
	frame := func(s string) {
		_ = binary.Write(h, binary.BigEndian, uint64(len(s))) // A hash does not fail.
		h.Write([]byte(s))
	}
	frame(i.Scope)
	frame(i.ID)
	if i.Trust != "" {
		frame("trust")
		frame(i.Trust)
	}
	if i.UID != nil {
		frame("owner")
		frame(fmt.Sprintf("%d:%d", *i.UID, *i.GID))
	}
	if i.Mode != nil {
		frame("mode")
		frame(strconv.FormatUint(uint64(*i.Mode), 8))
	}
	if i.Marked {
		frame("marked")
	}
	return hex.EncodeToString(h.Sum(nil))
}

// readIdentity reads meta.json, whose time is that of the last use.
func readIdentity(dir string) (Identity, os.FileInfo, error) {
	var i Identity
	path := filepath.Join(dir, metaFile)
	src, err := os.ReadFile(path)
	if err != nil {
		return i, nil, fmt.Errorf("reading cache: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return i, nil, fmt.Errorf("reading cache: %w", err)
	}
	if err := json.Unmarshal(src, &i); err != nil {
		return i, nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return i, info, nil
}

// write makes meta.json appear whole: a cache without it would be nobody's.
func (i Identity) write(dir string) error {
	src, err := json.Marshal(i)
	if err != nil {
		return fmt.Errorf("writing cache: %w", err)
	}
	if err := durable.Save(filepath.Join(dir, metaFile), src); err != nil {
		return fmt.Errorf("writing cache: %w", err)
	}
	return nil
}
