package layers

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gbuild/gbuild/internal/testtree"
	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

func newStore(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// oneLayer returns the layer of a snapshot that is not split.
func oneLayer(t testing.TB, s *Store, k Key, c codec.Compression) (v1.Layer, bool, error) {
	t.Helper()
	all, existed, err := s.Layers(t.Context(), k, LayerOptions{Compression: c})
	if err == nil && len(all) != 1 {
		t.Fatalf("%d layers", len(all))
	}
	if err != nil {
		return nil, false, err
	}
	return all[0], existed, nil
}

func keyOf(text string) Key { return sha256.Sum256([]byte(text)) }

// shell runs a change of files in a mounted draft over parent, and commits it.
func change(t testing.TB, s *Store, parent, k Key, fn func(root string)) {
	t.Helper()
	d, err := s.Draft(t.Context(), parent)
	check(t, err)
	defer d.Discard()
	root, err := d.Mount(t.Context())
	if err != nil {
		t.Skipf("cannot mount overlays here: %v", err)
	}
	fn(root)
	check(t, d.Commit(t.Context(), k))
}

func writeDiff(t testing.TB, snapshot string, lower *rootfs.View) []byte {
	t.Helper()
	var buf bytes.Buffer
	check(t, rootfs.WriteDiff(context.Background(), &buf, []string{snapshot}, rootfs.DiffOptions{Lower: lower}))
	return buf.Bytes()
}

// applyOptions are what apply may leave out.
type applyOptions struct {
	Lower    *rootfs.View
	MaxBytes int64 // 0 is 1 TiB
	Notice   func(text string)
}

// apply unpacks one layer.
func apply(ctx context.Context, r io.Reader, dir string, o applyOptions) (v1.Hash, error) {
	a, err := rootfs.NewApplier(dir, cmp.Or(o.MaxBytes, 1<<40), o.Notice)
	if err != nil {
		return v1.Hash{}, err
	}
	defer a.Close()
	diffID, err := a.Layer(ctx, r)
	if err != nil {
		return v1.Hash{}, err
	}
	return diffID, a.Finish(cmp.Or(o.Lower, rootfs.NewView()))
}

// dirsOf returns the directories of a state, the uppermost first.
func dirsOf(t testing.TB, s *Store, k Key) []string {
	t.Helper()
	dirs, err := s.snapshots.stack(k)
	check(t, err)
	return dirs
}

func applyTo(t testing.TB, data []byte, lower *rootfs.View) string {
	t.Helper()
	dir := t.TempDir()
	check(t, os.Chmod(dir, 0o755))
	_, err := apply(t.Context(), bytes.NewReader(data), dir, applyOptions{Lower: lower})
	check(t, err)
	return dir
}

// testLayer is a v1.Layer of a tar.
type testLayer struct {
	tar, packed []byte
	digest      v1.Hash
	size        int64
	diffID      v1.Hash
	source      string
	reads       *int
}

func layerOf(t testing.TB, data []byte, c codec.Compression) *testLayer {
	t.Helper()
	l := &testLayer{tar: data, reads: new(int)}
	var buf bytes.Buffer
	made, err := codec.Compress(&buf, c, codec.Options{}, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	check(t, err)
	l.diffID = made.DiffID
	l.packed = buf.Bytes()
	l.digest = v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(l.packed))}
	l.size = int64(len(l.packed))
	return l
}

func (l *testLayer) Digest() (v1.Hash, error)            { return l.digest, nil }
func (l *testLayer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l *testLayer) Size() (int64, error)                { return l.size, nil }
func (l *testLayer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }
func (l *testLayer) Source() string                      { return l.source }
func (l *testLayer) Uncompressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.tar)), nil
}

func (l *testLayer) Compressed() (io.ReadCloser, error) {
	*l.reads++
	return io.NopCloser(bytes.NewReader(l.packed)), nil
}

// The helpers that tests of other packages have, too.
var (
	check, script, write = testtree.Check, testtree.Script, testtree.Write
	lines, sameLines     = testtree.Lines, testtree.SameLines
	tarOf, members       = testtree.Tar, testtree.Members
)
