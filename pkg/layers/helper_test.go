package layers

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

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

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

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

// lines describes all files of a view: what a layer can carry.
func lines(t testing.TB, v *rootfs.View) []string {
	t.Helper()
	var out []string
	names := map[string]string{}
	err := v.Walk("/", func(e *rootfs.Entry) error {
		if e.Type() == unix.S_IFSOCK {
			return nil
		}
		line := fmt.Sprintf("%s %07o %d:%d", e.Path, e.Mode, e.UID, e.GID)
		if !e.IsDir() {
			line += fmt.Sprintf(" %d %q %d", e.ModTime.Unix(), e.Link, e.Rdev)
			id := fmt.Sprint(e.Dev, e.Ino)
			if first, ok := names[id]; ok && e.Nlink > 1 {
				line += " = " + first
			} else {
				names[id] = e.Path
			}
		}
		if e.IsRegular() {
			f, err := e.Open()
			if err != nil {
				return err
			}
			defer f.Close()
			data, err := io.ReadAll(f)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x", sha256.Sum256(data))
		}
		x, err := e.Xattrs()
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(x)) {
			line += fmt.Sprintf(" %s=%x", name, x[name])
		}
		out = append(out, line)
		return nil
	})
	check(t, err)
	return out
}

func sameLines(t testing.TB, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for _, l := range want {
		if !slices.Contains(got, l) {
			t.Errorf("%s: lacks %s", what, l)
		}
	}
	for _, l := range got {
		if !slices.Contains(want, l) {
			t.Errorf("%s: has   %s", what, l)
		}
	}
	if !t.Failed() {
		t.Errorf("%s: another order: %q, want %q", what, got, want)
	}
}

// tarOf makes a tar. An entry is "d name", "f name content", "l name target", "h name target", "p name", "c name";
// a name may be quoted by using \s for a blank.
func tarOf(t testing.TB, entries ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		f := append(strings.SplitN(e, " ", 3), "", "")
		h := &tar.Header{Name: strings.ReplaceAll(f[1], `\s`, " "), Mode: 0o644, ModTime: time.Unix(1000, 0)}
		body := ""
		switch f[0] {
		case "d":
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		case "f":
			body = f[2]
			h.Typeflag, h.Size = tar.TypeReg, int64(len(body))
		case "l":
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, f[2], 0o777
		case "h":
			h.Typeflag, h.Linkname = tar.TypeLink, f[2]
		case "p":
			h.Typeflag = tar.TypeFifo
		case "c":
			h.Typeflag, h.Devmajor, h.Devminor = tar.TypeChar, 1, 3
		default:
			t.Fatalf("unknown entry %q", e)
		}
		check(t, w.WriteHeader(h))
		_, err := io.WriteString(w, body)
		check(t, err)
	}
	check(t, w.Close())
	return buf.Bytes()
}

// members lists a tar: type, name, link.
func members(t testing.TB, data []byte) []string {
	t.Helper()
	var out []string
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return out
		}
		check(t, err)
		line := h.Name
		if h.Typeflag == tar.TypeLink {
			line += " = " + h.Linkname
		}
		out = append(out, line)
	}
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
	dirs, err := s.stack(k)
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
