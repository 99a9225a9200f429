package wire

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestBriefBodyNamesItsBound(t *testing.T) {
	body := func() io.ReadCloser { return io.NopCloser(strings.NewReader(strings.Repeat("x", 3<<20))) }
	for want, b := range map[string]*briefBody{
		"the answer of h is larger than 64 KiB": {ReadCloser: body(), host: "h", most: maxToken, until: time.Now().Add(time.Hour)},
		"the answer of h took more than 2m0s":   {ReadCloser: body(), host: "h", most: maxToken, limit: 2 * time.Minute},
	} {
		_, err := io.ReadAll(b)
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		if long := strings.Contains(want, "larger"); Passing(Cut(err)) == long {
			t.Errorf("%s: asked for again is what is slow, and not what is long", want)
		}
	}
	cut := &briefBody{ReadCloser: body(), most: maxErrorText, until: time.Now().Add(time.Hour), cut: true}
	if text, err := io.ReadAll(cut); err != nil || len(text) != maxErrorText {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}
