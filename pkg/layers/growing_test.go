package layers

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/testimage"
	"github.com/gbuild/gbuild/pkg/layers/growing"
)

// A blob is read from its start by readers that come at any time, and its digest is known at the end.
func TestGrowing(t *testing.T) {
	s := newStore(t)
	got := make(chan []byte, 2)
	read := func(g *growing.Blob) {
		r, err := g.Open()
		check(t, err)
		defer r.Close()
		data, err := io.ReadAll(r)
		check(t, err)
		got <- data
	}
	s.Sending = func(g *growing.Blob) {
		if g.Size() != -1 {
			t.Error("a large blob is announced when it is whole only")
		}
		go read(g)
	}
	data := testimage.Bytes(3 * sendFrom)
	w := begun(t, s, data[:2*sendFrom])
	w.Write(data[2*sendFrom:])
	g := w.grows
	d, err := w.commit(v1.Hash{})
	check(t, err)
	if !bytes.Equal(<-got, data) {
		t.Error("a reader saw other bytes")
	}
	read(g)
	if !bytes.Equal(<-got, data) {
		t.Error("a late reader saw other bytes")
	}
	h, err := g.Digest()
	if err != nil || h != d.Digest || h.Hex != fmt.Sprintf("%x", sha256.Sum256(data)) || g.Size() != int64(len(data)) {
		t.Errorf("digest %v, %v", h, err)
	}
}

func begun(t *testing.T, s *Store, data []byte) *blobWriter {
	w, err := s.blobs.create(t.Context())
	check(t, err)
	w.send(sendFrom)
	_, err = w.Write(data)
	check(t, err)
	return w
}

func TestGrowingSmall(t *testing.T) {
	s := newStore(t)
	var sizes []int64
	var known []bool
	s.Sending = func(g *growing.Blob) { sizes, known = append(sizes, g.Size()), append(known, g.Known()) }
	w := begun(t, s, []byte("small"))
	if len(sizes) != 0 {
		t.Error("a small blob is announced before its end")
	}
	_, err := w.commit(v1.Hash{})
	check(t, err)
	if len(sizes) != 1 || sizes[0] != 5 {
		t.Errorf("sizes %v", sizes)
	}
	again := begun(t, s, []byte("small"))
	defer again.abort()
	_, err = again.commit(v1.Hash{})
	check(t, err)
	if len(known) != 2 || known[0] || !known[1] {
		t.Errorf("known %v, want the second time only", known)
	}
}

// Who reads a layer that is given up, or does not want to wait any longer, is not left waiting.
func TestGrowingEnds(t *testing.T) {
	s := newStore(t)
	s.Sending = func(*growing.Blob) {}
	w := begun(t, s, []byte("some"))
	g := w.grows
	left, err := g.Open()
	check(t, err)
	closed, err := g.Open()
	check(t, err)
	ends := make(chan error)
	for _, r := range []io.Reader{left, closed} {
		go func() {
			_, err := io.ReadAll(r)
			ends <- err
		}()
	}
	check(t, closed.Close())
	if err := <-ends; err != os.ErrClosed {
		t.Errorf("closed: %v", err)
	}
	w.abort()
	if err := <-ends; err != errGivenUp {
		t.Errorf("given up: %v", err)
	}
	if _, err := g.Digest(); err != errGivenUp {
		t.Errorf("digest: %v", err)
	}
}

// A layer of elsewhere is read from there only until its bytes are here.
func TestNear(t *testing.T) {
	s := newStore(t)
	l := someLayers(t)[0]
	read := func(l v1.Layer) string {
		r, err := l.Compressed()
		check(t, err)
		defer r.Close()
		data, err := io.ReadAll(r)
		check(t, err)
		return string(data)
	}
	want, near := read(l), s.Near(l)
	if read(near) != want {
		t.Error("other bytes from elsewhere")
	}
	_, err := s.Unpack(t.Context(), []v1.Layer{near}, nil)
	check(t, err)
	l.(*testLayer).packed = nil
	if read(near) != want {
		t.Error("other bytes from here")
	}
	l.(*testLayer).source = "registry.test/base"
	if sourceOf(near) != "registry.test/base" {
		t.Error("the source is lost")
	}
}
