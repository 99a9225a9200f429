// This file owns what arrives: it writes the files of a catalog that are not here. What a catalog says cannot lead out of
// the caches: all paths are opened below the root of their cache, and no link is followed out of it.

package travel

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/pipcache"
)

// arrived is what an import brought: the files that have got their names, and their bytes.
type arrived struct {
	files int
	bytes int64
}

// importer writes files of catalogs into caches.
type importer struct {
	caches *pipcache.Caches

	// The caches of this scope get files, and nobody else's. If there are ids, only caches of these get some.
	scope string
	ids   []string

	// open reads a blob. At the end of what it returns the digest is verified.
	open func(v1.Hash) (io.ReadCloser, error)

	// These are the data of the leased caches, by their keys.
	roots   map[string]*os.Root
	leases  []*pipcache.Lease
	brought arrived
}

// run writes the files of a catalog that are not here. Before a blob was read to its end, none of its files has its name.
// A file that is here stays as it is.
func (im *importer) run(ctx context.Context, from *catalog) (arrived, error) {
	im.roots = map[string]*os.Root{}
	defer im.close()
	wanted := map[v1.Hash][]file{}
	for _, f := range from.Files {
		if err := f.check(); err != nil {
			return im.brought, fmt.Errorf("importing %q: %w", f.Path, err)
		}
		if f.Cache.Trust != abroad(im.scope) || len(im.ids) > 0 && !slices.Contains(im.ids, f.Cache.ID) {
			continue
		}
		f.Cache.Trust = im.scope
		missing, err := im.missing(ctx, f)
		if err != nil {
			return im.brought, fmt.Errorf("importing cache %q: %w", f.Cache.ID, err)
		}
		if missing {
			wanted[f.Blob] = append(wanted[f.Blob], f)
		}
	}
	for _, blob := range from.blobs() {
		if files := wanted[blob]; len(files) > 0 {
			if err := im.blob(ctx, blob, files); err != nil {
				return im.brought, fmt.Errorf("importing from %s: %w", blob, err)
			}
		}
	}
	return im.brought, nil
}

// close ends the leases. What was written stays.
func (im *importer) close() {
	for _, r := range im.roots {
		r.Close()
	}
	for _, l := range im.leases {
		l.Release()
	}
}

// root leases the cache of a file, and opens its directory.
func (im *importer) root(ctx context.Context, of pipcache.Identity) (*os.Root, error) {
	if r := im.roots[of.Key()]; r != nil {
		return r, nil
	}
	l, err := im.caches.Acquire(ctx, of.ID, pipcache.Shared, of.Options())
	if err != nil {
		return nil, err
	}
	im.leases = append(im.leases, l)
	r, err := os.OpenRoot(l.Dir())
	if err == nil {
		im.roots[of.Key()] = r
	}
	return r, err
}

// missing says whether nothing has the name of a file here.
func (im *importer) missing(ctx context.Context, f file) (bool, error) {
	r, err := im.root(ctx, f.Cache)
	if err != nil {
		return false, err
	}
	_, err = r.Lstat(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return false, nil // Something has that name, or stands in the way.
}

// blob writes the wanted files of one blob beside their places, and gives them their names when all of it has been read.
func (im *importer) blob(ctx context.Context, blob v1.Hash, files []file) error {
	// A blob is read once, from its beginning to its end, so the files come in their order there.
	slices.SortFunc(files, func(a, b file) int { return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Size, b.Size)) })
	in, err := im.open(blob)
	if err != nil {
		return err
	}
	defer in.Close()
	var made []arrival
	defer func() {
		for _, m := range made {
			_ = m.root.Remove(m.temp) // A linked file keeps its other name.
		}
	}()
	at := int64(0)
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		from, err := piece(in, at, f, made)
		if err != nil {
			return err
		}
		m, err := im.write(f, from)
		from.Close()
		if m.temp != "" {
			made = append(made, m)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		at = f.Offset + f.Size
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	for _, m := range made {
		if err := m.root.Link(m.temp, m.file.Path); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s: %w", m.file.Path, err)
		}
		im.brought.files++
		im.brought.bytes += m.file.Size
	}
	return nil
}

// piece finds the bytes of a file: next in the blob, which was read up to at; or, where two machines had the same bytes
// under two names, in the file that was just written.
func piece(in io.Reader, at int64, f file, made []arrival) (io.ReadCloser, error) {
	if f.Offset >= at {
		_, err := io.CopyN(io.Discard, in, f.Offset-at)
		return io.NopCloser(in), err
	}
	last := made[len(made)-1]
	if last.file.Offset != f.Offset || last.file.Size != f.Size {
		return nil, fmt.Errorf("%s: it lies across another file", f.Path)
	}
	return last.root.Open(last.temp)
}

// arrival is a file that waits for its name. Until then it has a temporary one in the same directory, so that the naming
// is one call.
type arrival struct {
	root *os.Root
	temp string
	file file
}

// write writes a file under a name for a while, with the metadata that it had elsewhere.
func (im *importer) write(f file, in io.Reader) (arrival, error) {
	m := arrival{root: im.roots[f.Cache.Key()], file: f}
	if err := makeParents(m.root, f); err != nil {
		return m, err
	}
	temp := path.Join(path.Dir(f.Path), ".gbuild-"+rand.Text())
	out, err := m.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return m, err
	}
	m.temp = temp
	_, err = io.CopyN(out, in, f.Size)
	if err == nil {
		_ = pipcache.Give(m.root, temp, f.UID, f.GID) // The file stays ours if this machine lacks the id.
	}
	if err == nil {
		err = out.Chmod(fs.FileMode(f.Mode))
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return m, err
	}
	when := time.Unix(0, f.MTime)
	return m, m.root.Chtimes(temp, when, when)
}

// makeParents makes the directories of a file, with its owner. A catalog does not say what modes directories had.
func makeParents(r *os.Root, f file) error {
	for i, c := range f.Path {
		if c != '/' {
			continue
		}
		dir := f.Path[:i]
		err := r.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		_ = pipcache.Give(r, dir, f.UID, f.GID)
	}
	return nil
}
