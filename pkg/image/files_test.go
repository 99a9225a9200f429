package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/gbuild/gbuild/internal/hint"
)

func TestLayoutKeepsWhatItHolds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l")
	a, b := randomImage(t, 1000, 2), randomImage(t, 1000, 1)
	write(t, mustRef(t, "oci:"+dir+":a"), a, quickWrite())
	write(t, mustRef(t, "oci:"+dir+":b"), b, quickWrite())
	sameImage(t, mustRef(t, "oci:"+dir+":a"), a)
	write(t, mustRef(t, "oci:"+dir+":a"), b, quickWrite())
	sameImage(t, mustRef(t, "oci:"+dir+":a"), b)
	digest, _ := a.Digest()
	var nf *NotFoundError
	if _, err := Open(context.Background(), mustRef(t, "oci:"+dir+"@"+digest.String()), quick()); !errors.As(err, &nf) {
		t.Errorf("replaced image is still named: %v", err)
	}
	digest, _ = b.Digest()
	sameImage(t, mustRef(t, "oci:"+dir+"@"+digest.String()), b)
	if _, err := Open(context.Background(), mustRef(t, "oci:"+dir+":c"), quick()); !errors.As(err, &nf) || nf.Hint() != "it holds: b, a" {
		t.Errorf("wrong name: %v", err)
	}
	write(t, mustRef(t, "oci:"+dir+":c"), a, quickWrite())
	if _, err := Open(context.Background(), mustRef(t, "oci:"+dir), quick()); !strings.Contains(hint.Of(err), "by its name") {
		t.Errorf("no name: %v", err)
	}
}

func TestLayoutMendsBrokenBlobs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l")
	img := randomImage(t, 1000, 1)
	r := mustRef(t, "oci:"+dir)
	write(t, r, img, quickWrite())
	layers, _ := img.Layers()
	h, _ := layers[0].Digest()
	size, _ := layers[0].Size()
	if err := os.WriteFile(filepath.Join(dir, blobPath(h)), make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Open(context.Background(), r, quick())
	if err != nil {
		t.Fatal(err)
	}
	if validate.Image(got) == nil {
		t.Error("a rotten blob passes")
	}
	write(t, r, img, quickWrite())
	sameImage(t, r, img)
}

func TestLayoutWritersAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l")
	var wg sync.WaitGroup
	for n := range 4 {
		img := randomImage(t, 10_000, 2)
		wg.Go(func() {
			if _, err := Write(context.Background(), mustRef(t, fmt.Sprintf("oci:%s:v%d", dir, n)), img, quickWrite()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for n := range 4 {
		if _, err := Open(context.Background(), mustRef(t, fmt.Sprintf("oci:%s:v%d", dir, n)), quick()); err != nil {
			t.Error(err)
		}
	}
}

func TestWriteRefusesPlaces(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		ref, hint string
		tags      []string
	}{
		{"oci:" + dir, "empty directory", nil},
		{"oci:" + dir + "/file", "oci-archive", nil},
		{"oci-archive:" + dir, "name a file", nil},
		{"docker-archive:" + dir + "/no/x.tar", "make it first", nil},
		{"docker-archive:" + dir + "/x.tar", "image name is", []string{"Bad"}},
		{"docker-archive:" + dir + "/x.tar", "image name is", []string{"a@" + someDigest}},
	}
	img := randomImage(t, 100, 1)
	for _, tt := range tests {
		o := quickWrite()
		o.Tags = tt.tags
		_, err := Write(context.Background(), mustRef(t, tt.ref), img, o)
		var hinted interface{ Hint() string }
		if !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), tt.hint) {
			t.Errorf("Write(%s): %v, want hint %q", tt.ref, err, tt.hint)
		}
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 1 {
		t.Errorf("files left: %v", left)
	}
}

// brokenLayer fails while it is read.
type brokenLayer struct{ v1.Layer }

func (brokenLayer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(strings.NewReader("x"), errReader{})), nil
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

func TestFailedWriteLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	l, err := random.Layer(1000, types.OCILayer)
	if err != nil {
		t.Fatal(err)
	}
	good := randomImage(t, 100, 1)
	bad, err := mutate.AppendLayers(good, brokenLayer{l})
	if err != nil {
		t.Fatal(err)
	}
	r := mustRef(t, "oci-archive:"+dir+"/x.tar")
	write(t, r, good, quickWrite())
	if _, err := Write(context.Background(), r, bad, quickWrite()); err == nil || !strings.Contains(err.Error(), "on fire") {
		t.Errorf("Write: %v", err)
	}
	sameImage(t, r, good)
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("files left: %v", left)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Write(ctx, r, good, quickWrite()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled Write: %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	_, err := Write(context.Background(), mustRef(t, "oci-archive:/dev/full"), randomImage(t, 100_000, 1), quickWrite())
	var se *SpaceError
	if !errors.As(err, &se) || se.Need < 100_000 || se.Hint() == "" {
		t.Errorf("Write: %v", err)
	}
}

func TestDockerTypesBecomeOCI(t *testing.T) {
	img, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	r := mustRef(t, "oci:"+t.TempDir()+"/l")
	if _, err := Write(context.Background(), r, img, quickWrite()); err != nil {
		t.Fatal(err)
	}
	got, err := Open(context.Background(), r, quick())
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(got); err != nil {
		t.Fatal(err)
	}
	m, _ := got.Manifest()
	if m.MediaType != types.OCIManifestSchema1 || m.Config.MediaType != types.OCIConfigJSON || m.Layers[0].MediaType != types.OCILayer {
		t.Errorf("%+v", m)
	}
}

func TestIndexAnnotations(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l")
	o := quickWrite()
	o.Tags = []string{"host.example/x:1", "y:2"}
	write(t, mustRef(t, "oci:"+dir), randomImage(t, 100, 1), o)
	src, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var idx v1.IndexManifest
	if err := json.Unmarshal(src, &idx); err != nil {
		t.Fatal(err)
	}
	want := [][2]string{{"1", "host.example/x:1"}, {"2", "docker.io/library/y:2"}}
	for i, w := range want {
		a := idx.Manifests[i].Annotations
		if a[annotationRefName] != w[0] || a[annotationImageName] != w[1] {
			t.Errorf("annotations %v, want %v", a, w)
		}
	}
}

// legacy makes a docker archive as Docker wrote it before version 25: plain layers, one of them by a link.
func legacy(t *testing.T, file string, compress bool) {
	t.Helper()
	layer := tarOf(t, map[string]string{"hello": "world"})
	sum := sha256.Sum256(layer)
	diff := "sha256:" + hex.EncodeToString(sum[:])
	stored := layer
	if compress {
		stored = gzipped(t, layer)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(name, content string) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, content)
	}
	add("c.json", `{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["`+diff+`","`+diff+`"]}}`)
	add("one/layer.tar", string(stored))
	_ = w.WriteHeader(&tar.Header{Name: "two/layer.tar", Linkname: "../one/layer.tar", Typeflag: tar.TypeSymlink})
	add("manifest.json", `[{"Config":"c.json","RepoTags":["old:1"],"Layers":["one/layer.tar","two/layer.tar"]}]`)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func tarOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t *testing.T, src []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(src)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// checkLayers reads all layers: validate.Image takes every layer for a compressed one.
func checkLayers(t *testing.T, img v1.Image) {
	t.Helper()
	layers, err := img.Layers()
	if err != nil || len(layers) != 2 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	for _, l := range layers {
		rc, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := v1.SHA256(rc)
		want, _ := l.DiffID()
		if err != nil || got != want {
			t.Errorf("DiffID %s, want %s (%v)", got, want, err)
		}
	}
}

func TestOldDockerArchive(t *testing.T) {
	for _, compress := range []bool{false, true} {
		file := filepath.Join(t.TempDir(), "old.tar")
		legacy(t, file, compress)
		for _, name := range []string{"", ":old:1", ":docker.io/library/old:1"} {
			img, err := Open(context.Background(), mustRef(t, "docker-archive:"+file+name), quick())
			if err != nil {
				t.Fatal(err)
			}
			checkLayers(t, img)
		}
		var nf *NotFoundError
		if _, err := Open(context.Background(), mustRef(t, "docker-archive:"+file+":new"), quick()); !errors.As(err, &nf) || nf.Hint() != "it holds: old:1" {
			t.Errorf("wrong name: %v", err)
		}
	}
}

func TestOpenRefusesFiles(t *testing.T) {
	dir := t.TempDir()
	save := func(name string, content []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	layoutTar := func(index string) []byte {
		return tarOf(t, map[string]string{layoutFile: layoutVersion, "index.json": index})
	}
	missing := `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + someDigest + `","size":5}]}`
	tests := []struct{ ref, want string }{
		{"oci:" + dir + "/nothing", "not found"},
		{"oci:" + dir, "not found"},
		{"oci-archive:" + dir + "/nothing", "not found"},
		{"docker-archive:" + dir + "/nothing", "not found"},
		{"oci-archive:-", "standard input"},
		{"docker-archive:-", "standard input"},
		{"oci-archive:" + save("gz", gzipped(t, []byte("x"))), "compressed"},
		{"docker-archive:" + save("text", []byte("no tar at all, really not")), "no readable tar"},
		{"docker-archive:" + save("empty", nil), "cannot be read"},
		{"docker-archive:" + save("other", tarOf(t, map[string]string{"x": "y"})), "manifest.json is missing"},
		{"docker-archive:" + save("broken", tarOf(t, map[string]string{"manifest.json": "{"})), "malformed"},
		{"oci-archive:" + save("v9", tarOf(t, map[string]string{layoutFile: `{"imageLayoutVersion":"9"}`})), "layout version"},
		{"oci-archive:" + save("index", layoutTar("[]")), "malformed"},
		{"oci-archive:" + save("none", layoutTar(`{"manifests":[]}`)), "not found"},
		{"oci-archive:" + save("gone", layoutTar(missing)), "is missing"},
	}
	for _, tt := range tests {
		if _, err := Open(context.Background(), mustRef(t, tt.ref), quick()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Open(%s): %v, want %q", tt.ref, err, tt.want)
		}
	}
}

// TestBrokenConfig serves images whose config lies. None may panic.
func TestBrokenConfig(t *testing.T) {
	for _, config := range []string{"null", "{}", "[]", `"x"`, `{"rootfs":null}`, `{"rootfs":{"diff_ids":["x"]}}`, `{"rootfs":{"diff_ids":[null]}}`} {
		h, size, _ := v1.SHA256(strings.NewReader(config))
		manifest := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":0}]}`, h, size, someDigest)
		mh, msize, _ := v1.SHA256(strings.NewReader(manifest))
		index := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":%d}]}`, mh, msize)
		file := filepath.Join(t.TempDir(), "x.tar")
		content := tarOf(t, map[string]string{layoutFile: layoutVersion, "index.json": index, blobPath(h): config, blobPath(mh): manifest})
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(context.Background(), mustRef(t, "oci-archive:"+file), quick()); err == nil || !strings.Contains(err.Error(), ": config: ") {
			t.Errorf("config %s: %v", config, err)
		}
	}
}

func TestLayoutLinksStayInside(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l")
	img := randomImage(t, 100, 1)
	r := mustRef(t, "oci:"+dir)
	write(t, r, img, quickWrite())
	layers, _ := img.Layers()
	h, _ := layers[0].Digest()
	blob := filepath.Join(dir, blobPath(h))
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.Rename(blob, outside); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, blob); err != nil {
		t.Fatal(err)
	}
	got, err := Open(context.Background(), r, quick())
	if err != nil {
		t.Fatal(err)
	}
	ls, _ := got.Layers()
	if _, err := ls[0].Compressed(); err == nil {
		t.Error("a link out of the layout was followed")
	}
}

// An archive in a pipe is refused before it is opened, which would wait for somebody who writes to it.
func TestAnArchiveInAPipeIsRefused(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"oci-archive:", "docker-archive:"} {
		if _, err := Open(context.Background(), mustRef(t, kind+pipe), quick()); !strings.Contains(hint.Of(err), "to a file") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
