package pipcache

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// answer is an entry as pip writes it, with its body inside, or beside it.
func answer(body, status string, headers ...string) []byte {
	text := func(s string) string {
		if len(s) < 32 {
			return string([]byte{0xa0 | byte(len(s))}) + s
		}
		return string([]byte{0xd9, byte(len(s))}) + s
	}
	var b strings.Builder
	b.WriteString("cc=4,\x82" + text("response") + "\x84" + text("body") + "\xc4" + string([]byte{byte(len(body))}) + body)
	b.WriteString(text("headers") + string([]byte{0x80 | byte(len(headers)/2)}))
	for _, h := range headers {
		b.WriteString(text(h))
	}
	b.WriteString(text("status") + status + text("vary") + "\x80")
	return []byte(b.String())
}

const (
	ok    = "\xcc\xc8"
	moved = "\xcd\x01\x2d"
	now   = "Sat, 28 Nov 2026 20:42:21 GMT"
	later = "Sun, 28 Nov 2027 20:42:21 GMT"
)

// What pip has fetched in a lease is asked for again, where its server does not say that it never changes.
func TestAge(t *testing.T) {
	for name, c := range map[string]struct{ before, after []byte }{
		"max-age":           {answer("x", ok, "Date", now, "ETag", `"e"`, "Cache-Control", "max-age=300"), answer("x", ok, "Date", longAgo, "ETag", `"e"`, "Cache-Control", "max-age=300")},
		"expires":           {answer("", ok, "date", now, "Last-Modified", now, "Expires", later), answer("", ok, "date", longAgo, "Last-Modified", now, "Expires", longAgo)},
		"body with a date":  {answer("Date\xbd"+now, ok, "Date", now), answer("Date\xbd"+now, ok, "Date", longAgo)},
		"immutable":         {answer("x", ok, "Date", now, "Cache-Control", "max-age=300, immutable"), answer("x", ok, "Date", now, "Cache-Control", "max-age=300, immutable")},
		"body is no header": {answer("immutable", ok, "Date", now), answer("immutable", ok, "Date", longAgo)},
		"moved for ever":    {answer("", moved, "Date", now, "Location", "/other"), nil},
		"another date":      {answer("", ok, "Date", "Saturday, 28-Nov-26 20:42:21 GMT", "Cache-Control", "max-age=300"), nil},
		"no entry":          {[]byte(strings.Repeat("x", maxEntryTail+1)), nil},
	} {
		b := newLendBench(t)
		for _, entries := range []string{newEntries, oldEntries} {
			entry := entryPath(entries, "https://files.example/"+name)
			b.write(b.two, entry, c.before)
			if err := b.two.Age(); err != nil {
				t.Fatal(err)
			}
			if got, _ := os.ReadFile(filepath.Join(b.two.Dir(), entry)); string(got) != string(c.after) {
				t.Errorf("%s in %s:\n%q, not\n%q", name, entries, got, c.after)
			}
		}
	}
}

// What a RUN puts into its cache in the place of answers leads nowhere.
func TestAgeOfStrangeFiles(t *testing.T) {
	b := newLendBench(t)
	outside := filepath.Join(t.TempDir(), "file")
	text := answer("", ok, "Date", now)
	if err := os.WriteFile(outside, text, 0o600); err != nil {
		t.Fatal(err)
	}
	place := func(address string) string {
		path := filepath.Join(b.two.Dir(), entryPath(newEntries, address))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if err := os.Symlink(outside, place("link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(place("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.write(b.two, entryPath(newEntries, "empty"), nil)
	if err := b.two.Age(); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(outside); string(got) != string(text) {
		t.Errorf("a file outside was changed: %q", got)
	}
}
