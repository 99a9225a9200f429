// This file owns the catalog: which file of which cache is where in which blob. It may come from anybody, so all of it is
// checked when it is read.

package travel

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/pipcache"
)

// catalog says what files of cache mounts are in which blobs somewhere else. It travels with the blobs, as JSON.
type catalog struct {
	Files []file `json:"files"`
}

// file is one regular file of a cache.
type file struct {
	Cache  pipcache.Identity `json:"cache"`
	Path   string            `json:"path"` // The path is in the cache, clean and relative.
	Mode   uint32            `json:"mode"` // These are permission bits.
	UID    int               `json:"uid"`
	GID    int               `json:"gid"`
	MTime  int64             `json:"mtime"` // This is in nanoseconds since 1970.
	Size   int64             `json:"size"`
	Seen   int64             `json:"seen"` // A machine last had the file then, in seconds since 1970.
	Blob   v1.Hash           `json:"blob"` // The bytes of the file are a part of this.
	Offset int64             `json:"offset"`
}

// abroad is how a catalog calls those whose caches it has: their names may be paths of a machine.
func abroad(trust string) string {
	if trust == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("gbuild trust scope\x00" + trust))
	return hex.EncodeToString(sum[:])
}

// key names a file wherever it is.
func (f *file) key() string { return f.Cache.Key() + "/" + f.Path }

// same says whether both are one file; by size and time, since what caches hold is named by its content or written once.
func (f *file) same(g *file) bool { return f.Size == g.Size && f.MTime == g.MTime }

// The bound is for whoever can write to the place that a catalog comes from.
const maxCatalog = 1 << 20 // This counts files. The cache of pip for a large project has some thousands.

// parseCatalog reads a catalog that may come from anybody.
func parseCatalog(raw []byte) (*catalog, error) {
	var c catalog
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("reading a catalog of cache mounts: %w", err)
	}
	if len(c.Files) > maxCatalog {
		return nil, fmt.Errorf("reading a catalog of cache mounts: it has %d files", len(c.Files))
	}
	for i := range c.Files {
		if err := c.Files[i].check(); err != nil {
			return nil, fmt.Errorf("reading a catalog of cache mounts: file %q: %w", c.Files[i].Path, err)
		}
	}
	return &c, nil
}

// check refuses what no machine of ours would write, and what could lead out of a cache.
func (f *file) check() error {
	switch {
	case f.Cache.ID == "":
		return errors.New("it is in no cache")
	case (f.Cache.UID == nil) != (f.Cache.GID == nil):
		return errors.New("its cache has half an owner")
	case !fs.ValidPath(f.Path) || f.Path == "." || strings.ContainsAny(f.Path, "\x00"):
		return errors.New("its path leads out of the cache")
	case f.Mode&^0o777 != 0:
		return fmt.Errorf("its mode is %o", f.Mode)
	case f.UID < 0 || f.GID < 0 || f.Size < 0 || f.Offset < 0:
		return errors.New("a number is negative")
	}
	return nil
}

// merge adds the files of other; of two that have one name, the one that was seen last stays. So the catalogs of machines
// that pushed at once can be merged in any order.
func (c *catalog) merge(other *catalog) {
	at := map[string]int{}
	for i := range c.Files {
		at[c.Files[i].key()] = i
	}
	for _, f := range other.Files {
		i, known := at[f.key()]
		switch {
		case !known:
			at[f.key()] = len(c.Files)
			c.Files = append(c.Files, f)
		case f.Seen > c.Files[i].Seen:
			c.Files[i] = f
		}
	}
}

// forget drops the files that no machine has had since a time. It returns how many.
func (c *catalog) forget(before time.Time) int {
	n := len(c.Files)
	c.Files = slices.DeleteFunc(c.Files, func(f file) bool { return f.Seen < before.Unix() })
	return n - len(c.Files)
}

// blobs lists the blobs that the files are in, each once, sorted.
func (c *catalog) blobs() []v1.Hash {
	seen := map[v1.Hash]bool{}
	var all []v1.Hash
	for _, f := range c.Files {
		if !seen[f.Blob] {
			seen[f.Blob] = true
			all = append(all, f.Blob)
		}
	}
	slices.SortFunc(all, func(a, b v1.Hash) int { return cmp.Compare(a.Hex, b.Hex) })
	return all
}

// encode writes the catalog: sorted, so that the same files are the same bytes.
func (c *catalog) encode() ([]byte, error) {
	slices.SortFunc(c.Files, func(a, b file) int {
		return cmp.Or(cmp.Compare(a.Cache.ID, b.Cache.ID), cmp.Compare(a.key(), b.key()))
	})
	return json.Marshal(c)
}

// stale says whether some file was not seen since a time.
func (c *catalog) stale(since time.Time) bool {
	return slices.ContainsFunc(c.Files, func(f file) bool { return f.Seen < since.Unix() })
}
