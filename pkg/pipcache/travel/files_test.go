package travel

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

	"github.com/gbuild/gbuild/pkg/pipcache"
)

// shelf is what a registry keeps of blobs.
type shelf map[v1.Hash][]byte

func (s shelf) put(t *testing.T, packs []*pack) (bytes int64) {
	t.Helper()
	for _, p := range packs {
		rc, err := p.open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(rc)
		if err != nil {
			t.Fatal(err)
		}
		rc.Close()
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != p.digest.Hex || int64(len(data)) != p.size {
			t.Fatalf("a pack of %d bytes says it is %v, with %d", len(data), p.digest, p.size)
		}
		s[p.digest] = data
		bytes += p.size
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

func newCaches(t *testing.T) *pipcache.Caches {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := pipcache.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fill writes files into a cache.
func fill(t *testing.T, c *pipcache.Caches, id string, files map[string]string) {
	t.Helper()
	l, err := c.Acquire(context.Background(), id, pipcache.Shared, pipcache.Options{UID: os.Getuid(), GID: os.Getgid()})
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

func readCache(t *testing.T, c *pipcache.Caches, id, name string) string {
	t.Helper()
	l, err := c.Acquire(context.Background(), id, pipcache.Shared, pipcache.Options{UID: os.Getuid(), GID: os.Getgid()})
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
	ctx, blobs, found := t.Context(), shelf{}, &catalog{}
	one := newCaches(t)
	big := strings.Repeat("wheel", 1<<19)
	fill(t, one, "/root/.cache/pip", map[string]string{"wheels/a/b/flash.whl": big, "wheels/a/b/origin.json": "{}", "http-v2/c/body": "page"})
	fill(t, one, "ccache", map[string]string{"0/1": "object"})

	packs, err := export(ctx, one, found, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(packs) != 2 {
		t.Errorf("%d packs, want one of the large file and one of the small", len(packs))
	}
	blobs.put(t, packs)
	raw, err := found.encode()
	if err != nil {
		t.Fatal(err)
	}
	if found, err = parseCatalog(raw); err != nil {
		t.Fatal(err)
	}

	two := newCaches(t)
	fill(t, two, "ccache", map[string]string{"0/1": "mine"})
	got, err := (&importer{caches: two, open: blobs.open}).run(ctx, found)
	if err != nil {
		t.Fatal(err)
	}
	if got.files != 2 {
		t.Errorf("%d files arrived", got.files)
	}
	for name, want := range map[string]string{"wheels/a/b/flash.whl": big, "wheels/a/b/origin.json": "{}", "http-v2/c/body": "missing"} {
		if got := readCache(t, two, "/root/.cache/pip", name); got != want {
			t.Errorf("%s is %.20q, want %.20q", name, got, want)
		}
	}
	if got := readCache(t, two, "ccache", "0/1"); got != "mine" {
		t.Errorf("a file that was here became %q", got)
	}
	again, err := (&importer{caches: two, open: blobs.open}).run(ctx, found)
	if err != nil || again.files != 0 {
		t.Errorf("a second import brought %d files: %v", again.files, err)
	}

	fill(t, two, "/root/.cache/pip", map[string]string{"wheels/z/new.whl": "new"})
	packs, err = export(ctx, two, found, Options{IDs: []string{"/root/.cache/pip"}, Downloads: true})
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
	blobs, all := shelf{}, &catalog{}
	for _, c := range []*pipcache.Caches{one, two} {
		found := &catalog{}
		packs, err := export(t.Context(), c, found, Options{})
		if err != nil {
			t.Fatal(err)
		}
		blobs.put(t, packs)
		all.merge(found)
	}
	three := newCaches(t)
	if _, err := (&importer{caches: three, open: blobs.open}).run(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if got := readCache(t, three, "c", "a") + readCache(t, three, "c", "b") + readCache(t, three, "c", "z"); got != "121" {
		t.Errorf("after both: %q", got)
	}
	if n := all.forget(time.Now().Add(time.Hour)); n != 3 {
		t.Errorf("%d files were forgotten", n)
	}
}

func TestHostileCatalogs(t *testing.T) {
	for _, path := range []string{"../x", "/etc/x", "a/../../x", "", ".", "a//b", "a\x00b"} {
		c := &catalog{Files: []file{{Cache: pipcache.Identity{ID: "c"}, Path: path, Mode: 0o644, Blob: v1.Hash{Algorithm: "sha256", Hex: "00"}}}}
		raw, err := c.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseCatalog(raw); err == nil {
			t.Errorf("the path %q was taken", path)
		}
	}
	if _, err := parseCatalog([]byte(`{"files":[{"cache":{"id":"c"},"path":"a","mode":2541}]}`)); err == nil {
		t.Error("a setuid file was taken")
	}
	if _, err := parseCatalog([]byte(`{"files":[{"cache":{"id":"c","uid":0},"path":"a"}]}`)); err == nil {
		t.Error("a cache with half an owner was taken: it has no key")
	}
}

func TestImportStaysInTheCache(t *testing.T) {
	c, outside, blobs := newCaches(t), t.TempDir(), shelf{}
	fill(t, c, "c", nil)
	l, err := c.Acquire(t.Context(), "c", pipcache.Shared, pipcache.Options{UID: os.Getuid(), GID: os.Getgid()})
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
	found := &catalog{Files: []file{{Cache: pipcache.Identity{ID: "c"}, Path: "link/x", Mode: 0o644, Size: 1, Blob: h}}}
	if got, err := (&importer{caches: c, open: blobs.open}).run(t.Context(), found); err != nil || got.files != 0 {
		t.Errorf("behind a link %d files arrived: %v", got.files, err)
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("outside of the cache there is %v", left)
	}
}

func TestTruncatedBlobsNameNothing(t *testing.T) {
	one, two, blobs, found := newCaches(t), newCaches(t), shelf{}, &catalog{}
	fill(t, one, "c", map[string]string{"a": "12345678", "b": "12345678"})
	packs, err := export(t.Context(), one, found, Options{})
	if err != nil {
		t.Fatal(err)
	}
	blobs.put(t, packs)
	for h, data := range blobs {
		blobs[h] = data[:12]
	}
	if _, err := (&importer{caches: two, open: blobs.open}).run(t.Context(), found); err == nil {
		t.Error("a truncated blob was taken")
	}
	l, err := two.Acquire(t.Context(), "c", pipcache.Shared, pipcache.Options{UID: os.Getuid(), GID: os.Getgid()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	if left, _ := os.ReadDir(l.Dir()); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}
