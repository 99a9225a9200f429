package pipcache

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Catalog says what files of cache mounts are in which blobs somewhere else. It travels with the blobs.
type Catalog struct {
	Files []File `json:"files"`
}

// File is one regular file of a cache.
type File struct {
	Cache  meta    `json:"cache"`
	Path   string  `json:"path"` // in the cache, clean and relative
	Mode   uint32  `json:"mode"` // permission bits
	UID    int     `json:"uid"`
	GID    int     `json:"gid"`
	MTime  int64   `json:"mtime"` // nanoseconds since 1970
	Size   int64   `json:"size"`
	Seen   int64   `json:"seen"` // when a machine last had it, in seconds since 1970
	Blob   v1.Hash `json:"blob"` // the bytes are a part of
	Offset int64   `json:"offset"`
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
func (f *File) key() string { return f.Cache.name() + "/" + f.Path }

// same says whether both are one file; by size and time, since what caches hold is named by its content or written once.
func (f *File) same(g *File) bool { return f.Size == g.Size && f.MTime == g.MTime }

const maxCatalog = 1 << 20 // files: pip's cache of a large project has some thousands

// ParseCatalog reads a catalog that may come from anybody.
func ParseCatalog(raw []byte) (*Catalog, error) {
	var c Catalog
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

func (f *File) check() error {
	switch {
	case f.Cache.ID == "":
		return errors.New("it is in no cache")
	case !fs.ValidPath(f.Path) || f.Path == "." || strings.ContainsAny(f.Path, "\x00"):
		return errors.New("its path leads out of the cache")
	case f.Mode&^0o777 != 0:
		return fmt.Errorf("its mode is %o", f.Mode)
	case f.UID < 0 || f.GID < 0 || f.Size < 0 || f.Offset < 0:
		return errors.New("a number is negative")
	}
	return nil
}

// Merge adds the files of other; of two that have one name, the one that was seen last stays.
func (c *Catalog) Merge(other *Catalog) {
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

// Forget drops the files that no machine has had since a time. It returns how many.
func (c *Catalog) Forget(before time.Time) int {
	n := len(c.Files)
	c.Files = slices.DeleteFunc(c.Files, func(f File) bool { return f.Seen < before.Unix() })
	return n - len(c.Files)
}

// Blobs lists the blobs that the files are in, each once, sorted.
func (c *Catalog) Blobs() []v1.Hash {
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

// Encode writes the catalog: sorted, so that the same files are the same bytes.
func (c *Catalog) Encode() ([]byte, error) {
	slices.SortFunc(c.Files, func(a, b File) int {
		return cmp.Or(cmp.Compare(a.Cache.ID, b.Cache.ID), cmp.Compare(a.key(), b.key()))
	})
	return json.Marshal(c)
}

// downloads are the parts of caches that hold what can be fetched again, by the first directory of the path: pip's
// pages and files, uv's wheels and what it unpacked of them, npm's packages.
var downloads = []string{"http", "http-v2", "selfcheck", "simple-v", "wheels-v", "archive-v", "git-v", "interpreter-v", "_cacache"}

// downloaded says whether a file can be fetched again as it is, and was not made here.
func downloaded(name string) bool {
	if strings.HasSuffix(name, ".deb") || path.Base(name) == "pkgcache.bin" || path.Base(name) == "srcpkgcache.bin" {
		return true
	}
	first, _, _ := strings.Cut(name, "/")
	return slices.ContainsFunc(downloads, func(d string) bool {
		return first == d || strings.HasSuffix(d, "-v") && strings.HasPrefix(first, d)
	})
}

// Stale says whether some file was not seen since a time.
func (c *Catalog) Stale(since time.Time) bool {
	return slices.ContainsFunc(c.Files, func(f File) bool { return f.Seen < since.Unix() })
}
