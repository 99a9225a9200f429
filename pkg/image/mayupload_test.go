package image

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
)

// Whether a registry takes an image is known before there is one; the upload that shows it is given up.
func TestMayPush(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc // of the request that opens an upload; nil: the registry's
		want   int              // the status of the error; 0: none
	}{
		"takes it":          {},
		"needs a login":     {status(401), 401},
		"refuses":           {status(403), 403},
		"has no such place": {status(404), 404},
		"opens none":        {status(202), 0},
	} {
		h := newHost(t)
		var mu sync.Mutex
		var methods []string
		h.on(func(w http.ResponseWriter, r *http.Request) bool {
			mu.Lock()
			defer mu.Unlock()
			methods = append(methods, r.Method)
			if c.answer != nil && is("POST", "/blobs/uploads/")(r) {
				c.answer(w, r)
				return true
			}
			return false
		})
		err := MayPush(context.Background(), h.ref(t, "app:1"), quick())
		var refused *UnauthorizedError
		var missing *NotFoundError
		got := 0
		switch {
		case errors.As(err, &refused):
			got = refused.Status
		case errors.As(err, &missing):
			got = 404
		}
		if got != c.want || (err == nil) != (c.want == 0) {
			t.Errorf("%s: %v", name, err)
		}
		if c.answer == nil && !slices.Contains(methods, http.MethodDelete) {
			t.Errorf("%s: the upload stays: %v", name, methods)
		}
	}
	if err := MayPush(context.Background(), Ref{Kind: KindOCI, Path: "/x"}, quick()); err == nil {
		t.Error("a layout is asked")
	}
}

// Registries have different words for a tag that is not to be changed, and different statuses.
func TestImmutableTags(t *testing.T) {
	for text, c := range map[string]struct {
		status int
		want   bool
	}{
		`{"errors":[{"code":"TAG_INVALID","message":"The image tag '1' already exists in the 'app' repository and cannot be overwritten because the repository is immutable."}]}`: {400, true},
		`{"errors":[{"code":"DENIED","message":"The repository has enabled tag immutability."}]}`:                                                                                 {403, true},
		`{"errors":[{"code":"PRECONDITION","message":"Failed to process request due to 'app:1' configured as immutable."}]}`:                                                      {412, true},
		`{"errors":[{"code":"DENIED","message":"not you"}]}`:                                                                                                                      {403, false},
		`{"errors":[{"code":"UNKNOWN","message":"immutable"}]}`:                                                                                                                   {500, false},
		`{"errors":[{"code":"CONFLICT","message":"try again"}]}`:                                                                                                                  {409, false},
	} {
		h := newHost(t)
		h.on(always(is("PUT", "/manifests/"), func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, text)
		}))
		_, err := Write(context.Background(), h.ref(t, "app:1"), randomImage(t, 100, 1), quickWrite())
		if err == nil || IsImmutable(err) != c.want {
			t.Errorf("%s: %t, of %v", text, !c.want, err)
		}
	}
}
