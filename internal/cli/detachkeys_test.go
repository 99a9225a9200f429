package cli

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestParseDetachKeys(t *testing.T) {
	for text, want := range map[string]string{DefaultDetachKeys: "\x10\x11", "a": "a", "ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_": "\x00\x1b\x1c\x1d\x1e\x1f", "CTRL-A,x": "\x01x",
		"": "!", "ctrl-1": "!", "ab": "!", "ctrl-": "!", "a,": "!"} {
		got, err := ParseDetachKeys(text)
		if (err != nil) != (want == "!") || err == nil && string(got) != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// What is typed is read but for the keys, however it comes.
func TestUntilDetached(t *testing.T) {
	for typed, want := range map[string]string{"abc": "abc", "a\x10b": "a\x10b", "ab\x10\x11cd": "ab", "\x10\x10\x11x": "\x10", "\x10": "\x10", "": "", "\x11\x10": "\x11\x10"} {
		detached := strings.Contains(typed, "\x10\x11")
		for way, in := range map[string]io.Reader{"at once": strings.NewReader(typed), "by bytes": iotest.OneByteReader(strings.NewReader(typed)), "with its end": iotest.DataErrReader(strings.NewReader(typed))} {
			got, err := io.ReadAll(UntilDetached(in, []byte("\x10\x11")))
			if string(got) != want || errors.Is(err, ErrDetached) != detached {
				t.Errorf("%q %s: %q, %v", typed, way, got, err)
			}
		}
	}
}
