package layers

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/testimage"
	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

const chunk = 1 << 20 // bytes of a file in one member

// stargzTree has all kinds of files, around the sizes at which something changes.
func stargzTree(t *testing.T) (dir string, files map[string][]byte) {
	dir = t.TempDir()
	data := testimage.Bytes(5<<20 + 1)
	files = map[string][]byte{}
	check(t, os.Mkdir(dir+"/a", 0o755))
	for _, n := range []int{0, 1, 511, 512, chunk - 1, chunk, chunk + 1, codec.WholeFrom - 1, codec.WholeFrom, len(data)} {
		name := fmt.Sprintf("a/file%d", n)
		files[name] = data[:n]
		write(t, dir+"/"+name, string(data[:n]))
	}
	script(t, dir, "ln -s file1 a/link; ln a/file511 a/same; mkfifo a/pipe; mkdir b; chmod 4755 a/file1; touch -d 1970-01-01T00:00:00Z b")
	check(t, unix.Setxattr(dir+"/a/file512", "user.x", []byte("\x00y"), 0))
	return dir, files
}

// packStargz returns the blob of a directory, and its record.
func packStargz(t *testing.T, s *Store, dir string, level int) ([]byte, layerRecord) {
	t.Helper()
	how := packing{Compression: codec.Compression{Algorithm: "estargz", Level: level}, from: sendNever}
	r, err := s.maker.pack(t.Context(), how, func(w io.Writer) error { return rootfs.WriteDiff(t.Context(), w, []string{dir}, rootfs.DiffOptions{}) })
	check(t, err)
	blob, _, err := s.Blob(r.Digest)
	check(t, err)
	defer blob.Close()
	packed, err := io.ReadAll(blob)
	check(t, err)
	return packed, r
}

// The reference implementation finds every file, and the digests are right.
func TestStargz(t *testing.T) {
	dir, files := stargzTree(t)
	packed, record := packStargz(t, newStore(t), dir, 0)
	r, err := estargz.Open(io.NewSectionReader(bytes.NewReader(packed), 0, int64(len(packed))))
	check(t, err)
	verifier, err := r.VerifyTOC(digest.Digest(record.Annotations["containerd.io/snapshot/stargz/toc.digest"]))
	check(t, err)
	for name, want := range files {
		f, err := r.OpenFile(name)
		check(t, err)
		got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		for at := int64(0); at < int64(len(want)); at += chunk {
			part, ok := r.ChunkEntryForOffset(name, at)
			if !ok || part.ChunkOffset != at {
				t.Fatalf("%s has no chunk at %d", name, at)
			}
			v, err := verifier.Verifier(part)
			check(t, err)
			v.Write(want[at : at+part.ChunkSize])
			if !v.Verified() {
				t.Errorf("%s at %d: the digest is wrong", name, at)
			}
		}
		if e, _ := r.Lookup(name); e.Digest != digest.FromBytes(want).String() {
			t.Errorf("%s has the digest %s", name, e.Digest)
		}
	}
	for name, want := range map[string]string{"a/link": "symlink", "a/pipe": "fifo", "b": "dir", "a/file512": "reg"} {
		e, ok := r.Lookup(name)
		if !ok || e.Type != want {
			t.Errorf("%s: %+v", name, e)
		}
		if name == "a/file512" && string(e.Xattrs["user.x"]) != "\x00y" {
			t.Errorf("its attributes are %q", e.Xattrs)
		}
	}
}

// Whoever knows nothing of eStargz reads the tar of any other layer, and the table.
func TestStargzForOthers(t *testing.T) {
	s := newStore(t)
	dir, _ := stargzTree(t)
	packed, record := packStargz(t, s, dir, 1)
	z, err := gzip.NewReader(bytes.NewReader(packed))
	check(t, err)
	got, err := io.ReadAll(z)
	check(t, err)
	if record.DiffID.Hex != fmt.Sprintf("%x", sha256.Sum256(got)) || record.Annotations["io.containers.estargz.uncompressed-size"] != fmt.Sprint(len(got)) {
		t.Error("the digest or the size of the tar is wrong")
	}
	var plain bytes.Buffer
	check(t, rootfs.WriteDiff(t.Context(), &plain, []string{dir}, rootfs.DiffOptions{}))
	want := members(t, plain.Bytes())
	if have := members(t, got); !slices.Equal(have[:len(have)-1], want) || have[len(have)-1] != codec.StargzTable {
		t.Errorf("the tar has %v, want %v and the table", have, want)
	}
	unpacked := t.TempDir()
	r, err := codec.Decompress(bytes.NewReader(packed))
	check(t, err)
	_, err = apply(t.Context(), r, unpacked, applyOptions{})
	check(t, err)
	var again bytes.Buffer
	check(t, rootfs.WriteDiff(t.Context(), &again, []string{unpacked}, rootfs.DiffOptions{}))
	if !bytes.Equal(again.Bytes(), plain.Bytes()) {
		t.Error("what is unpacked is something else")
	}
}

// The bytes do not depend on how many processors there are.
func TestStargzOnProcessors(t *testing.T) {
	dir, _ := stargzTree(t)
	var want []byte
	for _, procs := range []int{1, 2, 7} {
		before := runtime.GOMAXPROCS(procs)
		packed, _ := packStargz(t, newStore(t), dir, 0)
		runtime.GOMAXPROCS(before)
		if want == nil {
			want = packed
		}
		if !bytes.Equal(packed, want) {
			t.Errorf("other bytes with %d processors", procs)
		}
	}
}

func TestStargzFails(t *testing.T) {
	s, broken := newStore(t), errors.New("broken")
	for name, write := range map[string]func(w *tar.Writer) error{
		"at the start": func(*tar.Writer) error { return broken },
		"in a file": func(w *tar.Writer) error {
			check(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 10}))
			w.Write([]byte("12345"))
			return broken
		},
		"at the end": func(w *tar.Writer) error { return errors.Join(w.Close(), broken) },
	} {
		how := packing{Compression: codec.Compression{Algorithm: "estargz"}, from: sendNever}
		_, err := s.maker.pack(t.Context(), how, func(w io.Writer) error { return write(tar.NewWriter(w)) })
		if !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, _ := os.ReadDir(s.disk.path("ingest")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// Layers of eStargz are made, kept and unpacked as all others are.
func TestStargzLayers(t *testing.T) {
	s := newStore(t)
	dir, _ := stargzTree(t)
	change(t, s, Key{}, keyOf("a"), func(root string) { script(t, root, "cp -a "+dir+"/. .") })
	for range 2 {
		all, _, err := s.Layers(t.Context(), keyOf("a"), LayerOptions{Compression: codec.Compression{Algorithm: "estargz"}})
		check(t, err)
		d, err := all[0].(*storedLayer).Descriptor()
		check(t, err)
		if len(codec.AboutBlob(d.Annotations)) != 2 {
			t.Errorf("its annotations are %v", d.Annotations)
		}
	}
}
