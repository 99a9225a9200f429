package pipcache

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
)

// Arrived is what an Import brought.
type Arrived struct {
	Files int
	Bytes int64
}

// Import writes the files of a catalog that are not here: those that the catalog has of trust, whose caches here get them
// and nobody else's. Of ids, if there are some, only these caches are taken. open reads a blob, whose digest is verified at its end: before that, none of its files has its name. A file that is here
// stays as it is. What a catalog says cannot lead out of the caches.
func (c *Caches) Import(ctx context.Context, from *Catalog, trust string, ids []string, open func(v1.Hash) (io.ReadCloser, error)) (a Arrived, err error) {
	im := &importer{caches: c, roots: map[string]*os.Root{}}
	defer im.close()
	wanted := map[v1.Hash][]File{}
	for _, f := range from.Files {
		if err := f.check(); err != nil {
			return a, fmt.Errorf("importing %q: %w", f.Path, err)
		}
		if f.Cache.Trust != abroad(trust) || len(ids) > 0 && !slices.Contains(ids, f.Cache.ID) {
			continue
		}
		f.Cache.Trust = trust
		missing, err := im.missing(ctx, f)
		if err != nil {
			return a, fmt.Errorf("importing cache %q: %w", f.Cache.ID, err)
		}
		if missing {
			wanted[f.Blob] = append(wanted[f.Blob], f)
		}
	}
	for _, blob := range from.Blobs() {
		if files := wanted[blob]; len(files) > 0 {
			if err := im.blob(ctx, files, func() (io.ReadCloser, error) { return open(blob) }); err != nil {
				return im.arrived, fmt.Errorf("importing from %s: %w", blob, err)
			}
		}
	}
	return im.arrived, nil
}

type importer struct {
	caches  *Caches
	roots   map[string]*os.Root // of the caches' data, by name
	leases  []*Lease
	arrived Arrived
}

func (im *importer) close() {
	for _, r := range im.roots {
		r.Close()
	}
	for _, l := range im.leases {
		l.Release()
	}
}

// root leases the cache of a file, and opens its directory.
func (im *importer) root(ctx context.Context, m meta) (*os.Root, error) {
	if r := im.roots[m.name()]; r != nil {
		return r, nil
	}
	o := Options{Trust: m.Trust, Scope: m.Scope, UID: os.Geteuid(), GID: os.Getegid()}
	if m.UID != nil && m.GID != nil {
		o.OwnerGiven, o.UID, o.GID = true, *m.UID, *m.GID
	}
	if m.Mode != nil {
		o.Mode = *m.Mode
	}
	l, err := im.caches.Acquire(ctx, m.ID, Shared, o)
	if err != nil {
		return nil, err
	}
	im.leases = append(im.leases, l)
	r, err := os.OpenRoot(l.Dir())
	if err == nil {
		im.roots[m.name()] = r
	}
	return r, err
}

func (im *importer) missing(ctx context.Context, f File) (bool, error) {
	r, err := im.root(ctx, f.Cache)
	if err != nil {
		return false, err
	}
	_, err = r.Lstat(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return false, nil // something has that name, or stands in the way
}

// blob writes the wanted files of one blob beside their places, and gives them their names when all of it has been read.
func (im *importer) blob(ctx context.Context, files []File, open func() (io.ReadCloser, error)) error {
	slices.SortFunc(files, func(a, b File) int { return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Size, b.Size)) })
	in, err := open()
	if err != nil {
		return err
	}
	defer in.Close()
	var made []arrival
	defer func() {
		for _, m := range made {
			_ = m.root.Remove(m.temp) // after a link it is the second name
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
		im.arrived.Files++
		im.arrived.Bytes += m.file.Size
	}
	return nil
}

// piece finds the bytes of a file: next in the blob, which was read up to at; or, where two machines had the same bytes
// under two names, in the file that was just written.
func piece(in io.Reader, at int64, f File, made []arrival) (io.ReadCloser, error) {
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

// arrival is a file that waits for its name.
type arrival struct {
	root *os.Root
	temp string
	file File
}

func (im *importer) write(f File, in io.Reader) (arrival, error) {
	m := arrival{root: im.roots[f.Cache.name()], file: f}
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
	if err == nil && os.Geteuid() == 0 {
		_ = out.Chown(f.UID, f.GID) // an id that this machine lacks stays ours
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

// makeParents makes the directories of a file, with its owner.
func makeParents(r *os.Root, f File) error {
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
		if os.Geteuid() == 0 {
			_ = r.Chown(dir, f.UID, f.GID)
		}
	}
	return nil
}
