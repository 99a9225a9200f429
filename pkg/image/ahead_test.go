package image

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// slow is a blob that grows for as long as a test wants it to.
type slow struct {
	data  []byte
	once  sync.Once
	half  chan struct{} // closed: somebody has read half of it
	grown chan struct{} // closed: it is whole
	err   error
}

func (s *slow) Open() (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(bytes.NewReader(s.data[:len(s.data)/2]), readFunc(func([]byte) (int, error) {
		s.once.Do(func() { close(s.half) })
		<-s.grown
		return 0, io.EOF
	}), readFunc(func([]byte) (int, error) { return 0, errOr(s.err, io.EOF) }), bytes.NewReader(s.data[len(s.data)/2:]))), nil
}

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func (s *slow) Digest() (v1.Hash, error) {
	<-s.grown
	h, _, err := v1.SHA256(bytes.NewReader(s.data))
	return h, errOr(s.err, err)
}

func (s *slow) Size() int64 {
	select {
	case <-s.grown:
		return int64(len(s.data))
	default:
		return -1
	}
}

func newSlow(t *testing.T, l v1.Layer) *slow {
	r, err := l.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return &slow{data: data, half: make(chan struct{}), grown: make(chan struct{})}
}

// newAhead is an Ahead that ends with the test.
func newAhead(t *testing.T, r Ref) *Ahead {
	t.Helper()
	a, err := NewAhead(context.Background(), r, quick())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func TestAhead(t *testing.T) {
	h := newHost(t)
	img := randomImage(t, 100_000, 2)
	layers, _ := img.Layers()
	r := h.ref(t, "a:1")
	a := newAhead(t, r)
	h.on(nil)
	grows, whole := newSlow(t, layers[0]), newSlow(t, layers[1])
	a.Send(grows, false)
	<-grows.half // it is being sent
	close(whole.grown)
	a.Send(whole, false)
	close(grows.grown)
	a.pending.Wait()
	if n := h.count("PATCH "); n != 2 {
		t.Errorf("%d blobs were sent ahead", n)
	}
	h.on(nil)
	o := quickWrite()
	o.Ahead = a
	var done, total int64
	o.Report = func(d, t int64) { done, total = d, t }
	write(t, r, img, o)
	config, _ := img.RawConfigFile()
	if want := int64(len(grows.data) + len(whole.data) + len(config)); done != want || total != want {
		t.Errorf("reported %d of %d bytes, want %d", done, total, want)
	}
	if n := h.count("POST "); n != 1 {
		t.Errorf("%d blobs were sent with the image, want the config only", n)
	}
	write(t, h.ref(t, "a:2"), img, o)
	if n := h.count("POST "); n != 1 {
		t.Errorf("%d blobs were sent for two names, want the config once", n)
	}
	if n := h.count("HEAD /v2/a/blobs/"); n != 0 {
		t.Errorf("%d questions whether blobs are there that were sent a moment ago", n)
	}
	sameImage(t, r, img)
}

// A small blob that was made just now takes two requests.
func TestAheadOfSmallBlobs(t *testing.T) {
	h := newHost(t)
	img := randomImage(t, 1000, 1)
	layers, _ := img.Layers()
	a := newAhead(t, h.ref(t, "a:1"))
	h.on(nil)
	b := newSlow(t, layers[0])
	close(b.grown)
	a.Send(b, false)
	a.pending.Wait()
	if got := [...]int{h.count("POST "), h.count("PUT "), h.count("HEAD "), h.count("PATCH ")}; got != [...]int{1, 1, 0, 0} {
		t.Errorf("POST, PUT, HEAD and PATCH: %v", got)
	}
	a.Send(b, true) // made once more: it is there
	a.pending.Wait()
	if n := h.count("POST "); n != 1 {
		t.Errorf("sent %d times", n)
	}
}

// What a tag stands for is asked once, while the image is made; an answer of long ago is not relied on.
func TestAheadAsks(t *testing.T) {
	h := newHost(t)
	r, img := h.ref(t, "a:1"), randomImage(t, 1000, 1)
	write(t, r, img, quickWrite())
	for old, want := range map[bool][]string{
		false: {"HEAD /v2/a/manifests/1"},
		true:  {"HEAD /v2/a/manifests/1", "HEAD /v2/a/manifests/1"},
	} {
		h.on(nil)
		a := newAhead(t, r)
		a.Ask(r.Tag)
		a.Ask(r.Tag)
		a.pending.Wait()
		if old {
			a.asked.Store(r.Tag, func() tagAnswer { return tagAnswer{at: time.Now().Add(-time.Minute)} })
		}
		o := quickWrite()
		o.Ahead = a
		write(t, r, img, o)
		if !slices.Equal(h.log, want) {
			t.Errorf("old answer %t: asked %q, want %q", old, h.log, want)
		}
	}
}

// What was sent ahead and is gone when the manifest comes is sent again.
func TestAheadIsLost(t *testing.T) {
	h := newHost(t)
	img := randomImage(t, 100_000, 1)
	layers, _ := img.Layers()
	r := h.ref(t, "a:1")
	a := newAhead(t, r)
	h.on(firstTimes(1, is("PUT", "/uploads/"), status(201))) // and keeps nothing
	b := newSlow(t, layers[0])
	close(b.grown)
	a.Send(b, false)
	a.pending.Wait()
	h.on(firstTimes(1, is("PUT", "/manifests/"), blobUnknown))
	o := quickWrite()
	o.Ahead = a
	write(t, r, img, o)
	sameImage(t, r, img)
}

// What goes wrong ahead is done again, and said, by Write.
func TestAheadFails(t *testing.T) {
	tests := map[string]func(http.ResponseWriter, *http.Request) bool{
		"login":  firstTimes(1, is("GET", "/v2/"), status(404)),
		"start":  firstTimes(1, is("POST", "/uploads/"), status(403)),
		"bytes":  firstTimes(1, is("PATCH", "/uploads/"), reset),
		"commit": firstTimes(1, is("PUT", "/uploads/"), status(400)),
	}
	for name, hook := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			img := randomImage(t, 100_000, 1)
			layers, _ := img.Layers()
			r := h.ref(t, "a:1")
			a, err := NewAhead(context.Background(), r, quick())
			if err != nil {
				t.Fatal(err)
			}
			h.on(hook)
			b := newSlow(t, layers[0])
			a.Send(b, false)
			close(b.grown)
			a.pending.Wait()
			a.Close()
			write(t, r, img, quickWrite())
			sameImage(t, r, img)
		})
	}
}

// A layer that is given up, and a build that ends early, leave no half of a blob and nothing waiting.
func TestAheadEnds(t *testing.T) {
	h := newHost(t)
	layers, _ := randomImage(t, 100_000, 2).Layers()
	a, err := NewAhead(context.Background(), h.ref(t, "a:1"), quick())
	if err != nil {
		t.Fatal(err)
	}
	failed, stuck := newSlow(t, layers[0]), newSlow(t, layers[1])
	failed.err = errors.New("given up")
	h.on(nil)
	a.Send(failed, false)
	a.Send(stuck, false)
	<-failed.half
	<-stuck.half
	close(failed.grown)
	ended := make(chan struct{})
	go func() {
		a.Close()
		close(ended)
	}()
	<-a.ctx.Done()
	close(stuck.grown)
	<-ended
	if n := h.count("PUT "); n != 0 {
		t.Errorf("%d blobs were committed", n)
	}
}

// A large blob that the registry turns out to have is not sent to its end.
func TestAheadStopsAtWhatIsThere(t *testing.T) {
	h := newHost(t)
	img := randomImage(t, 100_000, 1)
	layers, _ := img.Layers()
	r := h.ref(t, "a:1")
	write(t, r, img, quickWrite())
	a, err := NewAhead(context.Background(), r, quick())
	if err != nil {
		t.Fatal(err)
	}
	b := newSlow(t, layers[0])
	h.on(firstTimes(1, is("PATCH", "/uploads/"), hang))
	a.Send(b, false)
	close(b.grown)
	a.pending.Wait()
	if n := h.count("PUT "); n != 0 {
		t.Errorf("%d blobs were committed", n)
	}
}
