package layers

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// ApplyOptions says how Apply unpacks.
type ApplyOptions struct {
	// Lower is what the layer lies on. Directories that the layer does not name, but has files in, get their metadata
	// from there; hard links to its files become copies. nil is an empty one.
	Lower *View
	// MaxBytes limits the size of the unpacked tar, and of the files in it with their holes. 0 is 1 TiB.
	MaxBytes int64
	// Notice, if set, is told what could not be unpacked (device nodes, some attributes), once for each kind.
	Notice func(text string)
}

const (
	maxEntries = 10_000_000
	maxDepth   = 4096
)

// Apply unpacks a layer (an uncompressed tar with OCI whiteouts) into the empty directory dir, so that dir becomes an
// overlay lower directory, and returns the DiffID: the SHA-256 of all of r. It reads r to its end, and never leaves dir.
// An entry that would is an error that names it.
func Apply(ctx context.Context, r io.Reader, dir string, o ApplyOptions) (v1.Hash, error) {
	t, err := newTree(dir)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("unpacking: %w", err)
	}
	defer t.close()
	a := &applier{tree: t, notices: newNotices(o.Notice), limit: limitOr(o.MaxBytes)}
	diffID, err := a.layer(ctx, r)
	if err != nil {
		return v1.Hash{}, err
	}
	lower := o.Lower
	if lower == nil {
		lower = NewView()
	}
	return diffID, a.finish(lower)
}

// applier turns tar entries into files.
type applier struct {
	*tree
	notices  *notices
	overlay  bool                    // entries named .wh. are whiteouts
	uid, gid *int                    // the owner of everything, if set
	under    string                  // what names are relative to
	copyUp   func(name string) error // of a directory that exists below, if it should keep its content
	links    []pendingLink
	times    []dirTime
	buffer   []byte
	limit    int64 // of bytes
	size     int64 // of the files so far
}

func limitOr(n int64) int64 {
	if n <= 0 {
		return 1 << 40
	}
	return n
}

// pendingLink is a hard link whose target is not there (yet).
type pendingLink struct{ name, target string }

type dirTime struct {
	name string
	at   time.Time
}

// layer unpacks the tar, reads r to its end and returns its digest. finish has to follow.
func (a *applier) layer(ctx context.Context, r io.Reader) (v1.Hash, error) {
	a.overlay = true
	sum := sha256.New()
	ahead := codec.NewReadAhead(codec.Limit(ctx, r, a.limit))
	defer ahead.Close()
	hashed := io.TeeReader(ahead, sum) // on this side: the other one decompresses, which takes longer than all else
	if err := a.entries(ctx, tar.NewReader(hashed)); err != nil {
		return v1.Hash{}, err
	}
	if _, err := io.Copy(io.Discard, hashed); err != nil {
		return v1.Hash{}, fmt.Errorf("reading the end of the layer: %w", err)
	}
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}, nil
}

func (a *applier) entries(ctx context.Context, tr *tar.Reader) error {
	for n := 0; ; n++ {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the tar after %d entries: %w", n, err)
		}
		if n >= maxEntries {
			return fmt.Errorf("reading the tar: more than %d entries", maxEntries)
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if a.size += max(h.Size, 0); a.size < 0 || a.size > a.limit {
			return fmt.Errorf("unpacking entry %q: %w", h.Name, codec.ErrTooLarge)
		}
		if err := a.entry(h, codec.WithContext(ctx, tr)); err != nil {
			return fmt.Errorf("unpacking entry %q: %w", h.Name, err)
		}
	}
}

var errEscapes = errors.New("the name leads out of the root")

// entryName checks a name of the tar and makes it relative and clean; "" is the root.
func entryName(name string) (string, error) {
	if name == "" {
		return "", errors.New("the name is empty")
	}
	if strings.ContainsRune(name, 0) {
		return "", errors.New("the name has a NUL")
	}
	cleaned := path.Clean(strings.TrimLeft(name, "/"))
	if cleaned == ".." || strings.HasPrefix(cleaned, "../") {
		return "", errEscapes
	}
	if strings.Count(cleaned, "/") >= maxDepth {
		return "", fmt.Errorf("the name has more than %d levels", maxDepth)
	}
	if cleaned == "." {
		return "", nil
	}
	return cleaned, nil
}

func (a *applier) entry(h *tar.Header, body io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := entryName(h.Name)
	if err != nil {
		return err
	}
	if name == "" {
		return a.rootEntry(h)
	}
	if a.overlay && name == codec.StargzTable {
		return nil // it is the layer's, and no file of the image
	}
	if base := path.Base(name); a.overlay && strings.HasPrefix(base, whiteoutPrefix) {
		return a.whiteout(path.Dir(name), base)
	}
	if a.uid != nil {
		h.Uid = *a.uid
	}
	if a.gid != nil {
		h.Gid = *a.gid
	}
	return a.file(path.Join(a.under, name), h, body)
}

// finish does what must wait for the last entry, and for the layers below: hard links to what is further on or further
// down, the metadata of directories without an entry, and the times of directories.
func (a *applier) finish(lower *View) error {
	merged := lower.over(a.dir)
	for _, l := range a.links {
		if err := a.finishLink(l, merged); err != nil {
			return fmt.Errorf("unpacking entry %q: linking to %q: %w", l.name, l.target, err)
		}
	}
	if err := a.finishImplied(lower); err != nil {
		return err
	}
	for i := len(a.times) - 1; i >= 0; i-- {
		t := a.times[i]
		fd, err := a.reopen(t.name)
		if err != nil {
			continue // replaced by a later entry
		}
		err = setTimes(fd, ".", t.at)
		closeFD(fd)
		if err != nil {
			return fmt.Errorf("setting the time of %q: %w", t.name, err)
		}
	}
	return nil
}
