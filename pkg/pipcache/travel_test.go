package pipcache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// shelf is what a registry keeps of blobs.
type shelf map[v1.Hash][]byte

func (s shelf) put(t *testing.T, packs []*Pack) (bytes int64) {
	t.Helper()
	for _, p := range packs {
		rc, err := p.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(rc)
		if err != nil {
			t.Fatal(err)
		}
		rc.Close()
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != p.Digest.Hex || int64(len(data)) != p.Size {
			t.Fatalf("a pack of %d bytes says it is %v, with %d", len(data), p.Digest, p.Size)
		}
		s[p.Digest] = data
		bytes += p.Size
	}
	return bytes
}

func (s shelf) open(h v1.Hash) (io.ReadCloser, error) {
	data, ok := s[h]
	if !ok {
		return nil, os.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func newCaches(t *testing.T) *Caches {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fill writes files into a cache.
func fill(t *testing.T, c *Caches, id string, files map[string]string) {
	t.Helper()
	l, err := c.Acquire(context.Background(), id, Shared, Options{UID: os.Getuid(), GID: os.Getgid()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	for name, text := range files {
		path := filepath.Join(l.Dir(), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

func readCache(t *testing.T, c *Caches, id, name string) string {
	t.Helper()
	l, err := c.Acquire(context.Background(), id, Shared, Options{UID: os.Getuid(), GID: os.Getgid()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	data, err := os.ReadFile(filepath.Join(l.Dir(), name))
	if err != nil {
		return "missing"
	}
	return string(data)
}

func TestCachesTravel(t *testing.T) {
	ctx, blobs, catalog := t.Context(), shelf{}, &Catalog{}
	one := newCaches(t)
	big := strings.Repeat("wheel", 1<<19)
	fill(t, one, "/root/.cache/pip", map[string]string{"wheels/a/b/flash.whl": big, "wheels/a/b/origin.json": "{}", "http-v2/c/body": "page"})
	fill(t, one, "ccache", map[string]string{"0/1": "object"})

	packs, err := one.Export(ctx, catalog, ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(packs) != 2 {
		t.Errorf("%d packs, want one of the large file and one of the small", len(packs))
	}
	blobs.put(t, packs)
	raw, err := catalog.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if catalog, err = ParseCatalog(raw); err != nil {
		t.Fatal(err)
	}

	two := newCaches(t)
	fill(t, two, "ccache", map[string]string{"0/1": "mine"})
	arrived, err := two.Import(ctx, catalog, "", nil, blobs.open)
	if err != nil {
		t.Fatal(err)
	}
	if arrived.Files != 2 {
		t.Errorf("%d files arrived", arrived.Files)
	}
	for name, want := range map[string]string{"wheels/a/b/flash.whl": big, "wheels/a/b/origin.json": "{}", "http-v2/c/body": "missing"} {
		if got := readCache(t, two, "/root/.cache/pip", name); got != want {
			t.Errorf("%s is %.20q, want %.20q", name, got, want)
		}
	}
	if got := readCache(t, two, "ccache", "0/1"); got != "mine" {
		t.Errorf("a file that was here became %q", got)
	}
	again, err := two.Import(ctx, catalog, "", nil, blobs.open)
	if err != nil || again.Files != 0 {
		t.Errorf("a second import brought %d files: %v", again.Files, err)
	}

	fill(t, two, "/root/.cache/pip", map[string]string{"wheels/z/new.whl": "new"})
	packs, err = two.Export(ctx, catalog, ExportOptions{IDs: []string{"/root/.cache/pip"}, Downloads: true})
	if err != nil {
		t.Fatal(err)
	}
	if n := blobs.put(t, packs); n != 3 {
		t.Errorf("%d bytes are new; 3 were added", n)
	}
}

func TestCatalogsOfTwoMachinesMerge(t *testing.T) {
	one, two := newCaches(t), newCaches(t)
	fill(t, one, "c", map[string]string{"a": "1"})
	fill(t, two, "c", map[string]string{"b": "2", "z": "1"})
	blobs, all := shelf{}, &Catalog{}
	for _, c := range []*Caches{one, two} {
		catalog := &Catalog{}
		packs, err := c.Export(t.Context(), catalog, ExportOptions{})
		if err != nil {
			t.Fatal(err)
		}
		blobs.put(t, packs)
		all.Merge(catalog)
	}
	three := newCaches(t)
	if _, err := three.Import(t.Context(), all, "", nil, blobs.open); err != nil {
		t.Fatal(err)
	}
	if got := readCache(t, three, "c", "a") + readCache(t, three, "c", "b") + readCache(t, three, "c", "z"); got != "121" {
		t.Errorf("after both: %q", got)
	}
	if n := all.Forget(time.Now().Add(time.Hour)); n != 3 {
		t.Errorf("%d files were forgotten", n)
	}
}

func TestHostileCatalogs(t *testing.T) {
	for _, path := range []string{"../x", "/etc/x", "a/../../x", "", ".", "a//b", "a\x00b"} {
		c := &Catalog{Files: []File{{Cache: meta{ID: "c"}, Path: path, Mode: 0o644, Blob: v1.Hash{Algorithm: "sha256", Hex: "00"}}}}
		raw, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseCatalog(raw); err == nil {
			t.Errorf("the path %q was taken", path)
		}
	}
	if _, err := ParseCatalog([]byte(`{"files":[{"cache":{"id":"c"},"path":"a","mode":2541}]}`)); err == nil {
		t.Error("a setuid file was taken")
	}
}

func TestImportStaysInTheCache(t *testing.T) {
	c, outside, blobs := newCaches(t), t.TempDir(), shelf{}
	fill(t, c, "c", nil)
	l, err := c.Acquire(t.Context(), "c", Shared, Options{UID: os.Getuid(), GID: os.Getgid()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	if err := os.Symlink(outside, filepath.Join(l.Dir(), "link")); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("x"))
	h := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
	blobs[h] = []byte("x")
	catalog := &Catalog{Files: []File{{Cache: meta{ID: "c"}, Path: "link/x", Mode: 0o644, Size: 1, Blob: h}}}
	if arrived, err := c.Import(t.Context(), catalog, "", nil, blobs.open); err != nil || arrived.Files != 0 {
		t.Errorf("behind a link %d files arrived: %v", arrived.Files, err)
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("outside of the cache there is %v", left)
	}
}

func TestTruncatedBlobsNameNothing(t *testing.T) {
	one, two, blobs, catalog := newCaches(t), newCaches(t), shelf{}, &Catalog{}
	fill(t, one, "c", map[string]string{"a": "12345678", "b": "12345678"})
	packs, err := one.Export(t.Context(), catalog, ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	blobs.put(t, packs)
	for h, data := range blobs {
		blobs[h] = data[:12]
	}
	if _, err := two.Import(t.Context(), catalog, "", nil, blobs.open); err == nil {
		t.Error("a truncated blob was taken")
	}
	l, err := two.Acquire(t.Context(), "c", Shared, Options{UID: os.Getuid(), GID: os.Getgid()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	if left, _ := os.ReadDir(l.Dir()); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}
