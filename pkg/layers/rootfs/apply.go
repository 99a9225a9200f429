// Applier, which turns the tars of layers into files: the way of an entry, and what must wait for the end. What one entry becomes
// is in applyfile.go, links and nameless directories are in applylinks.go, owners and attributes in applymeta.go.

package rootfs

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
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/codec"
)

const (
	maxEntries = 10_000_000
	maxDepth   = 4096
)

// Applier turns the entries of layers (uncompressed tars with OCI whiteouts) into files in a directory, which becomes an
// overlay lower directory. It never leaves the directory: an entry that would is an error that names it. Layer may be called
// for several layers, the lowest first; then Finish, which needs what lies below, and Close.
type Applier struct {
	tree    *tree
	places  places
	how     applying
	notices *notices
	parent  openParent
	size    int64 // bytes of the files so far
	buffer  []byte

	// What must wait for the end.
	links []pendingLink
	times []dirTime
}

// places finds the directories that an applier writes into.
type places interface {
	// open returns a descriptor of the directory at a clean relative path, and makes what is missing of it.
	open(name string) (int, error)
	// reopen returns a descriptor of a directory that open has made.
	reopen(name string) (int, error)
	// keep sees to it that a directory that the tar names, and that exists below, keeps its content.
	keep(name string) error
}

// applying says how an applier treats entries.
type applying struct {
	limit    int64  // bytes of the tar, and of the files in it with their holes
	overlay  bool   // entries named .wh. are whiteouts
	uid, gid *int   // the owner of everything, if set
	under    string // the directory in the tree that names are relative to
}

// NewApplier begins to write into an empty directory. The tars, and the files in them with their holes, may have limit bytes
// in all. notice, if not nil, is told what could not be unpacked (device nodes, some attributes), once for each kind.
func NewApplier(dir string, limit int64, notice func(text string)) (*Applier, error) {
	t, err := newTree(dir)
	if err != nil {
		return nil, err
	}
	return newApplier(t, t, applying{limit: limit, overlay: true}, notice), nil
}

// newApplier makes an applier that looks for directories by p.
func newApplier(t *tree, p places, how applying, notice func(text string)) *Applier {
	return &Applier{tree: t, places: p, how: how, notices: newNotices(notice), parent: openParent{fd: -1}}
}

// Close gives back what the applier holds.
func (a *Applier) Close() {
	a.parent.close()
	a.tree.close()
}

// pendingLink is a hard link whose target is not there (yet).
type pendingLink struct{ name, target string }

// dirTime is the time that a directory gets in the end, when nothing is made in it any more.
type dirTime struct {
	name string
	at   time.Time
}

// Layer unpacks a tar, and returns its DiffID: the SHA-256 of all of r. It reads r to its end.
func (a *Applier) Layer(ctx context.Context, r io.Reader) (v1.Hash, error) {
	return readLayer(ctx, r, a.how.limit, a.entries)
}

// readLayer has entries read the tar of a layer, and returns the DiffID.
func readLayer(ctx context.Context, r io.Reader, limit int64, entries func(context.Context, *tar.Reader) error) (v1.Hash, error) {
	sum := sha256.New()
	ahead := codec.NewReadAhead(codec.Limit(ctx, r, limit))
	defer ahead.Close()
	hashed := io.TeeReader(ahead, sum) // on this side: the other one decompresses, which takes longer than all else
	if err := entries(ctx, tar.NewReader(hashed)); err != nil {
		return v1.Hash{}, err
	}
	if _, err := io.Copy(io.Discard, hashed); err != nil {
		return v1.Hash{}, fmt.Errorf("reading the end of the layer: %w", err)
	}
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}, nil
}

// entries unpacks all entries of a tar.
func (a *Applier) entries(ctx context.Context, tr *tar.Reader) error {
	return eachEntry(ctx, tr, a.how.limit, &a.size, a.entry)
}

// eachEntry calls do for each entry of a tar. size counts the bytes of the files, of which there may be limit.
func eachEntry(ctx context.Context, tr *tar.Reader, limit int64, size *int64, do func(h *tar.Header, body io.Reader) error) error {
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
		if *size += max(h.Size, 0); *size < 0 || *size > limit {
			return fmt.Errorf("unpacking entry %q: %w", h.Name, codec.ErrTooLarge)
		}
		if err := do(h, codec.WithContext(ctx, tr)); err != nil {
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

// entry unpacks one entry, after its name was checked.
func (a *Applier) entry(h *tar.Header, body io.Reader) error {
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
	if a.how.overlay && name == codec.StargzTable {
		return nil // it is the layer's, and no file of the image
	}
	if base := path.Base(name); a.how.overlay && strings.HasPrefix(base, WhiteoutPrefix) {
		return a.whiteout(path.Dir(name), base)
	}
	if a.how.uid != nil {
		h.Uid = *a.how.uid
	}
	if a.how.gid != nil {
		h.Gid = *a.how.gid
	}
	return a.file(path.Join(a.how.under, name), h, body)
}

// Finish does what must wait for the last entry, and for the layers below, which lower shows: hard links to what is further on
// or further down become links or copies, directories without an entry get the metadata of those below, and all directories
// their times.
func (a *Applier) Finish(lower *View) error {
	merged := lower.Over(a.tree.dir)
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
		fd, err := a.places.reopen(t.name)
		if err != nil {
			continue // replaced by a later entry
		}
		err = setTimes(fd, ".", t.at)
		unix.Close(fd)
		if err != nil {
			return fmt.Errorf("setting the time of %q: %w", t.name, err)
		}
	}
	return nil
}
