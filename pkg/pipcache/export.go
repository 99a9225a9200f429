package pipcache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// ExportOptions say which files leave.
type ExportOptions struct {
	Trust     string   // whose caches leave
	IDs       []string // none: all of them
	Downloads bool     // also what can be fetched again
}

// Pack is a blob that is to be made: the bytes of its files, one after the other.
type Pack struct {
	Digest v1.Hash
	Size   int64 // bytes
	parts  []string
}

const (
	ownPack = 1 << 20  // a file of this size travels alone
	packMax = 32 << 20 // small files travel together, up to this size
)

// Export lists the files of the caches that known does not have, and the blobs that they make. It adds them to known,
// and notes of those that known has that they were seen. What vanishes or cannot be read meanwhile is left out.
func (c *Caches) Export(ctx context.Context, known *Catalog, o ExportOptions) ([]*Pack, error) {
	e := &exporter{ctx: ctx, known: known, index: map[string]int{}, now: time.Now().Unix()}
	for i := range known.Files {
		e.index[known.Files[i].key()] = i
	}
	all, err := c.List()
	if err != nil {
		return nil, err
	}
	for _, info := range all {
		if info.Trust != o.Trust || strings.Contains(info.Key, ".") || len(o.IDs) > 0 && !slices.Contains(o.IDs, info.ID) { // a further one of sharing=private
			continue
		}
		if err := e.cache(filepath.Dir(info.Dir), o); err != nil {
			return nil, fmt.Errorf("exporting cache %q: %w", info.ID, err)
		}
	}
	return e.packs, e.flush()
}

type exporter struct {
	ctx   context.Context
	known *Catalog
	index map[string]int // of its files
	now   int64
	packs []*Pack
	small []File // that wait for a pack
	paths []string
	size  int64
}

func (e *exporter) cache(dir string, o ExportOptions) error {
	m, _, err := readMeta(dir)
	if err != nil {
		return err
	}
	m.Trust = abroad(m.Trust)
	data := filepath.Join(dir, dataDir)
	return filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
				return nil
			}
			return err
		}
		name, err := filepath.Rel(data, path)
		if err != nil || !o.Downloads && downloaded(name) {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return nil // it is gone
		}
		st := info.Sys().(*syscall.Stat_t)
		return e.file(path, File{Cache: m, Path: name, Mode: uint32(info.Mode().Perm()), UID: int(st.Uid), GID: int(st.Gid),
			MTime: st.Mtim.Nano(), Size: info.Size(), Seen: e.now})
	})
}

func (e *exporter) file(path string, f File) error {
	if err := e.ctx.Err(); err != nil {
		return err
	}
	if i, ok := e.index[f.key()]; ok && e.known.Files[i].same(&f) {
		e.known.Files[i].Seen = e.now
		return nil
	}
	if f.Size >= ownPack {
		return e.pack([]File{f}, []string{path})
	}
	if e.size+f.Size > packMax {
		if err := e.flush(); err != nil {
			return err
		}
	}
	e.small, e.paths, e.size = append(e.small, f), append(e.paths, path), e.size+f.Size
	return nil
}

// flush makes a pack of the small files.
func (e *exporter) flush() error {
	err := e.pack(e.small, e.paths)
	e.small, e.paths, e.size = nil, nil, 0
	return err
}

// pack reads the files once, for the digest; what cannot be read as it was listed is left out.
func (e *exporter) pack(files []File, paths []string) error {
	p := &Pack{}
	sum := sha256.New()
	var taken []File
	for i := range files {
		f := files[i]
		n, err := hashFile(sum, paths[i], f.Size)
		if err != nil && n > 0 {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		if err != nil {
			continue
		}
		f.Offset = p.Size
		p.Size += n
		p.parts, taken = append(p.parts, paths[i]), append(taken, f)
	}
	if len(taken) == 0 {
		return nil
	}
	p.Digest = v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}
	for _, f := range taken {
		f.Blob = p.Digest
		e.add(f)
	}
	e.packs = append(e.packs, p)
	return nil
}

func (e *exporter) add(f File) {
	if i, ok := e.index[f.key()]; ok {
		e.known.Files[i] = f
		return
	}
	e.index[f.key()] = len(e.known.Files)
	e.known.Files = append(e.known.Files, f)
}

var errChanged = errors.New("it changed while it was read")

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

// Open reads the bytes of the pack. One whose files have changed since is an error at its end, by its digest.
func (p *Pack) Open() (io.ReadCloser, error) {
	files := &fileList{}
	var readers []io.Reader
	for _, path := range p.parts {
		readers = append(readers, &lateFile{path: path, open: files})
	}
	files.Reader = io.MultiReader(readers...)
	return files, nil
}

// fileList is several files read as one, of which one is open at a time.
type fileList struct {
	io.Reader
	now *os.File
}

// Close implements io.Closer.
func (l *fileList) Close() error {
	if l.now == nil {
		return nil
	}
	err := l.now.Close()
	l.now = nil
	return err
}

// lateFile is opened when it is read, and closed at its end.
type lateFile struct {
	path string
	open *fileList
	file *os.File
}

// Read implements io.Reader.
func (f *lateFile) Read(p []byte) (int, error) {
	if f.file == nil {
		file, err := os.Open(f.path)
		if err != nil {
			return 0, err
		}
		f.file, f.open.now = file, file
	}
	n, err := f.file.Read(p)
	if err == io.EOF {
		if closeErr := f.open.Close(); closeErr != nil {
			err = closeErr
		}
	}
	return n, err
}
