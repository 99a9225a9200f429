// This file owns what leaves: it finds the files that a catalog lacks, and puts their bytes into packs. Nothing is copied
// here: a pack reads the files when it is sent.

package travel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/pipcache"
)

// Options say which cache mounts travel.
type Options struct {
	Scope     string        // Only the cache mounts of this scope leave, and only they get what arrives.
	IDs       []string      // These cache mounts travel; none means all.
	Downloads bool          // What could be fetched again leaves, too.
	Keep      time.Duration // A push forgets the files that no machine has had in this time.
}

const (
	// A file of this size travels alone.
	ownPack = 1 << 20

	// Small files travel together, up to this size.
	packMax = 32 << 20
)

// export lists the files of the caches that known does not have, and the blobs that they make. It adds them to known,
// and notes of those that known has that they were seen. What vanishes or cannot be read meanwhile is left out.
func export(ctx context.Context, caches *pipcache.Caches, known *catalog, o Options) ([]*pack, error) {
	e := &exporter{known: known, index: map[string]int{}, now: time.Now().Unix(), downloads: o.Downloads}
	for i := range known.Files {
		e.index[known.Files[i].key()] = i
	}
	all, err := caches.List()
	if err != nil {
		return nil, err
	}
	for _, info := range all {
		oneOfSeveral := strings.Contains(info.Key, ".")
		if info.Trust != o.Scope || oneOfSeveral || !info.Ours() || len(o.IDs) > 0 && !slices.Contains(o.IDs, info.ID) {
			continue
		}
		if err := e.cache(ctx, info); err != nil {
			return nil, fmt.Errorf("exporting cache %q: %w", info.ID, err)
		}
	}
	return e.packs, e.flush()
}

// exporter puts into packs what a catalog does not have.
type exporter struct {
	// The index has the files of the catalog by their keys.
	known *catalog
	index map[string]int

	now       int64
	downloads bool // What can be fetched again leaves, too.
	packs     []*pack

	// These small files wait for a pack. They are at these paths, and have this size together.
	small []file
	paths []string
	size  int64
}

// cache looks at all files of a cache. What vanishes meanwhile, or is closed to this user, is left out.
func (e *exporter) cache(ctx context.Context, info pipcache.Info) error {
	identity := info.Identity
	identity.Trust, identity.Marked = abroad(identity.Trust), false
	return filepath.WalkDir(info.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
				return nil
			}
			return err
		}
		name, err := filepath.Rel(info.Dir, path)
		if err != nil || !e.downloads && downloaded(name) {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return nil // It is gone.
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		uid, gid, err := pipcache.OwnerOf(path)
		if err != nil {
			return nil // It is gone, too.
		}
		st := info.Sys().(*syscall.Stat_t)
		return e.file(path, file{Cache: identity, Path: name, Mode: uint32(info.Mode().Perm()), UID: uid, GID: gid,
			MTime: st.Mtim.Nano(), Size: info.Size(), Seen: e.now})
	})
}

// file has a file packed, unless the catalog has it. A large one is a pack of its own, so that it is sent once, whatever
// else changes.
func (e *exporter) file(path string, f file) error {
	if i, ok := e.index[f.key()]; ok && e.known.Files[i].same(&f) {
		e.known.Files[i].Seen = e.now
		return nil
	}
	if f.Size >= ownPack {
		return e.pack([]file{f}, []string{path})
	}
	if e.size+f.Size > packMax {
		if err := e.flush(); err != nil {
			return err
		}
	}
	e.small, e.paths, e.size = append(e.small, f), append(e.paths, path), e.size+f.Size
	return nil
}

// flush makes a pack of the small files that wait. One of no file is no pack.
func (e *exporter) flush() error {
	err := e.pack(e.small, e.paths)
	e.small, e.paths, e.size = nil, nil, 0
	return err
}

// pack reads the files once, for the digest; what cannot be read as it was listed is left out.
func (e *exporter) pack(files []file, paths []string) error {
	p := &pack{}
	sum := sha256.New()
	var taken []file
	for i := range files {
		f := files[i]
		n, err := hashFile(sum, paths[i], f.Size)
		if err != nil && n > 0 {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		if err != nil {
			continue
		}
		f.Offset = p.size
		p.size += n
		p.parts, taken = append(p.parts, paths[i]), append(taken, f)
	}
	if len(taken) == 0 {
		return nil
	}
	p.digest = v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}
	for _, f := range taken {
		f.Blob = p.digest
		e.add(f)
	}
	e.packs = append(e.packs, p)
	return nil
}

// add puts a file into the catalog, in place of the one that had its name.
func (e *exporter) add(f file) {
	if i, ok := e.index[f.key()]; ok {
		e.known.Files[i] = f
		return
	}
	e.index[f.key()] = len(e.known.Files)
	e.known.Files = append(e.known.Files, f)
}

var errChanged = errors.New("it changed while it was read")

// hashFile reads a file to its end, and refuses one that grew or shrank since it was listed.
func hashFile(w io.Writer, path string, size int64) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := io.Copy(w, io.LimitReader(f, size+1))
	if err == nil && n != size {
		err = errChanged
	}
	return n, err
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
