package image

import (
	"context"
	"slices"
	"testing"
)

func TestSharedConnectionsGreetOnce(t *testing.T) {
	h := newHost(t)
	img := randomImage(t, 1000, 2)
	write(t, h.ref(t, "a:1"), img, quickWrite())
	for name, o := range map[string]struct {
		options Options
		greets  int
	}{
		"shared": {Options{Connections: &Connections{}, patience: quick().patience}, 1},
		"alone":  {quick(), 3},
	} {
		h.on(nil)
		for range 2 {
			if _, err := Digest(context.Background(), h.ref(t, "a:1"), o.options); err != nil {
				t.Fatal(err)
			}
		}
		write(t, h.ref(t, "b:1"), img, WriteOptions{Options: o.options})
		if n := h.count("GET /v2/"); n != o.greets {
			t.Errorf("%s: %d greetings, want %d: %q", name, n, o.greets, h.log)
		}
	}
}

// What a registry says while it is in trouble is not what it says later.
func TestTroubleIsNotRemembered(t *testing.T) {
	h := newHost(t)
	o := quick()
	o.Connections = &Connections{}
	for _, hook := range []int{429, 404, 500} {
		h.on(firstTimes(99, is("GET", "/v2/"), status(hook)))
		if _, err := Digest(context.Background(), h.ref(t, "a:1"), o); err == nil {
			t.Errorf("no error for a greeting of %d", hook)
		}
	}
	h.on(nil)
	write(t, h.ref(t, "a:1"), randomImage(t, 1000, 1), WriteOptions{Options: o})
}

func TestPushOfWhatIsThereAsksOnce(t *testing.T) {
	h := newHost(t)
	img := randomImage(t, 1000, 3)
	first := write(t, h.ref(t, "a:1"), img, quickWrite())
	h.on(nil)
	if again := write(t, h.ref(t, "a:1"), img, quickWrite()); again != first {
		t.Errorf("digest %s, and then %s", first, again)
	}
	if want := []string{"GET /v2/", "HEAD /v2/a/manifests/1"}; !slices.Equal(h.log, want) {
		t.Errorf("asked %q, want %q", h.log, want)
	}
	h.on(nil)
	write(t, h.ref(t, "a:1"), randomImage(t, 1000, 1), quickWrite())
	if n := h.count("PUT /v2/a/manifests/1"); n != 1 {
		t.Errorf("another image was written %d times", n)
	}
	// A registry that does not say what it has gets the image.
	h.on(firstTimes(1, is("HEAD", "/manifests/"), status(405)))
	write(t, h.ref(t, "a:1"), img, quickWrite())
	if n := h.count("PUT /v2/a/manifests/1"); n != 1 {
		t.Errorf("the image was written %d times", n)
	}
}
