package image

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/gbuild/gbuild/pkg/image/wire"
)

// anybodysToken makes a registry want a token, and gives one to everybody.
func anybodysToken(h *host) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == "/token":
			fmt.Fprint(w, `{"token":"t"}`)
			return true
		case r.Header.Get("Authorization") != "Bearer t":
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="x"`, h.URL))
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	}
}

// What is there costs one request, whoever asks first; a registry is asked how it wants to be asked at most once.
func TestGreetings(t *testing.T) {
	h := newHost(t)
	img := randomImage(t, 1000, 2)
	write(t, h.ref(t, "a:1"), img, quickWrite())
	write(t, h.ref(t, "b:1"), img, quickWrite())
	there, absent := "HEAD /v2/a/manifests/1", "HEAD /v2/a/manifests/none"
	const hello, token = "GET /v2/", "GET /token?scope=repository%3Aa%3Apull&service=x"
	for name, c := range map[string]struct {
		hook   func(http.ResponseWriter, *http.Request) bool
		tags   []string
		shared bool
		want   []string
	}{
		"open":               {nil, []string{"1", "1"}, true, []string{there, there}},
		"absent":             {nil, []string{"none", "none"}, true, []string{absent, hello, absent}},
		"absent, not shared": {nil, []string{"none", "none"}, false, []string{absent, hello, absent, hello}},
		"anybody's token":    {anybodysToken(h), []string{"1", "1"}, true, []string{there, token, there, token, there}},
	} {
		h.on(c.hook)
		o := quick()
		if c.shared {
			o.Connections = &wire.Connections{}
		}
		for _, tag := range c.tags {
			if _, err := Digest(context.Background(), h.ref(t, "a:"+tag), o); (err != nil) != (tag == "none") {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if !slices.Equal(h.log, c.want) {
			t.Errorf("%s: asked %q, want %q", name, h.log, c.want)
		}
	}
}

// What a registry says while it is in trouble is not what it says later.
func TestTroubleIsNotRemembered(t *testing.T) {
	h := newHost(t)
	o := quick()
	o.Connections = &wire.Connections{}
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
	if want := []string{"HEAD /v2/a/manifests/1"}; !slices.Equal(h.log, want) {
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

// Where nobody has to log in, an upload needs no greeting. Where everybody gets a token, its bytes are sent again with one.
func TestUploadWithoutGreeting(t *testing.T) {
	h := newHost(t)
	img := randomImage(t, 1000, 1)
	for name, c := range map[string]struct {
		hook   func(http.ResponseWriter, *http.Request) bool
		tokens int
	}{
		"open":                   {nil, 0},
		"anybody's token":        {anybodysToken(h), 1},
		"a token for bytes only": {firstTimes(1, is("PUT", "/uploads/"), status(401)), 0},
	} {
		h.on(nil)
		layers, _ := img.Layers()
		r := h.ref(t, fmt.Sprintf("x%d:1", c.tokens))
		a := newAhead(t, r)
		h.on(c.hook)
		b := newSlow(t, layers[0])
		close(b.grown)
		a.Send(b, false)
		a.pending.Wait()
		digest, _ := layers[0].Digest()
		if !a.has(digest) || h.count("GET /v2/") != 0 && c.hook == nil || h.count("GET /token") != c.tokens {
			t.Errorf("%s: asked %q", name, h.log)
		}
	}
}
