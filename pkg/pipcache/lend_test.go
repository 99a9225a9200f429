package pipcache

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCleanURL has links as pages write them, and as pip names its entries by them.
func TestCleanURL(t *testing.T) {
	for link, want := range map[string]string{
		"https://files.example/a/torch-2.8.0%2Bcu128-cp311.whl": "https://files.example/a/torch-2.8.0%2Bcu128-cp311.whl",
		"https://Files.Example/a/torch-2.8.0+cu128.whl#x":       "https://files.example/a/torch-2.8.0%2Bcu128.whl",
		"https://f.example/a b/x~y@1.whl":                       "https://f.example/a%20b/x~y@1.whl",
		"https://f.example/a%2fb/x.whl":                         "https://f.example/a%2Fb/x.whl",
		"https://f.example/%7Euser/x(1).whl?X=a%2Bb&c":          "https://f.example/~user/x%281%29.whl?X=a%2Bb&c",
		"https://f.example:8443/é.whl":                          "https://f.example:8443/%C3%A9.whl",
		"HTTP://f.example":                                      "http://f.example/",
	} {
		u, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		if got := cleanURL(u); got != want {
			t.Errorf("%s is %s, not %s", link, got, want)
		}
	}
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// lendBench is a scope whose cache has a body, and another one that is watched.
type lendBench struct {
	*testing.T
	caches   *Caches
	one, two *Lease
	body     []byte
	lending  *Lending
}

func newLendBench(t *testing.T) *lendBench {
	t.Helper()
	caches, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &lendBench{T: t, caches: caches, body: bytes.Repeat([]byte("wheel "), 50_000)}
	for _, l := range []struct {
		lease **Lease
		trust string
	}{{&b.one, "one"}, {&b.two, "two"}} {
		if *l.lease, err = caches.Acquire(t.Context(), "pip", Shared, Options{Trust: l.trust, UID: os.Geteuid(), GID: os.Getegid()}); err != nil {
			t.Fatal(err)
		}
	}
	entry := entryPath(newEntries, "https://files.example/x-1.0.whl")
	b.write(b.one, entry, []byte("cc=4,"))
	b.write(b.one, entry+bodySuffix, b.body)
	bodies := b.bodies()
	if err := bodies.Keep(t.Context(), b.one); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *lendBench) bodies() *Bodies {
	b.Helper()
	bodies, err := b.caches.Bodies(os.Geteuid(), os.Getegid())
	if err != nil {
		b.Fatal(err)
	}
	return bodies
}

// write makes a file appear as pip does.
func (b *lendBench) write(l *Lease, name string, data []byte) {
	b.Helper()
	path := filepath.Join(l.Dir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path+".tmp", data, 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		b.Fatal(err)
	}
}

func (b *lendBench) lend() {
	b.Helper()
	lent, err := b.two.BodiesDir()
	if err != nil {
		b.Fatal(err)
	}
	if b.lending, err = b.bodies().Lend(b.two, LendOptions{Dir: b.two.Dir(), Lent: lent, Indexes: []string{"https://index.example/simple"}, UID: os.Geteuid(), GID: os.Getegid()}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { b.lending.Stop() })
}

// read returns the body that pip would find for a URL, after a while in which it may appear.
func (b *lendBench) read(address string, patience time.Duration) []byte {
	entry := filepath.Join(b.two.Dir(), entryPath(newEntries, address))
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		head, err := os.ReadFile(entry)
		if body, bodyErr := os.ReadFile(entry + bodySuffix); err == nil && bodyErr == nil && strings.HasPrefix(string(head), "cc=4,") {
			return body
		}
		if time.Now().After(end) {
			return nil
		}
	}
}

func packedPage(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	z.Close()
	return b.Bytes()
}

func TestLendWhatAPageNames(t *testing.T) {
	for name, page := range map[string]func(sum string) []byte{
		"html": func(sum string) []byte {
			return fmt.Appendf(nil, "<!DOCTYPE html><a class=x href=\"https://files.example/y-1.0.whl#sha256=%s\">y</a>", sum)
		},
		"packed": func(sum string) []byte {
			return packedPage("<html><A HREF='https://u:p@files.example/y-1.0.whl#sha256=" + strings.ToUpper(sum) + "'>")
		},
		"relative": func(sum string) []byte {
			return fmt.Appendf(nil, "<a href=\"../../y-1.0.whl#sha256=%s&amp;x=1\">y</a>", sum)
		},
		"base": func(sum string) []byte {
			return fmt.Appendf(nil, "<base href=\"https://files.example/\"><a href=\"y-1.0.whl#sha256=%s\">y</a>", sum)
		},
		"json": func(sum string) []byte {
			return fmt.Appendf(nil, `{"name":"y","files":[{"url":"https://files.example/y-1.0.whl","hashes":{"sha256":%q}}]}`, sum)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newLendBench(t)
			b.lend()
			time.Sleep(50 * time.Millisecond) // until it watches
			b.write(b.two, entryPath(newEntries, "https://index.example/simple/y/")+bodySuffix, page(sumOf(b.body)))
			address := "https://files.example/y-1.0.whl"
			if name == "relative" {
				address = "https://index.example/y-1.0.whl"
			}
			if got := b.read(address, 5*time.Second); !bytes.Equal(got, b.body) {
				t.Errorf("%d bytes were lent", len(got))
			}
		})
	}
}

// TestLendNothingElse has pages that do not name the body, and things that are no pages of this scope.
func TestLendNothingElse(t *testing.T) {
	b := newLendBench(t)
	sum := sumOf(b.body)
	page := fmt.Appendf(nil, "<a href=\"https://files.example/y-1.0.whl#sha256=%s\">y</a>", sum)
	b.write(b.two, entryPath(newEntries, "https://index.example/old/")+bodySuffix, page) // before the RUN
	b.lend()
	time.Sleep(50 * time.Millisecond)
	b.write(b.one, entryPath(newEntries, "https://index.example/simple/y/")+bodySuffix, page) // another scope's page
	b.write(b.two, "elsewhere/a/b/c/d/e/"+strings.Repeat("a", 56)+bodySuffix, page)
	b.write(b.two, newEntries+"/a/b/c/d/e/short"+bodySuffix, page)
	for i, text := range []string{
		"<a href=\"https://files.example/y-1.0.whl#sha256=" + sumOf([]byte("other")) + "\">",
		"<a href=\"https://files.example/y-1.0.whl#md5=" + sum[:32] + "\">",
		"<a href=\"https://files.example/y-1.0.whl\">",
		"<a href=\"file:///y-1.0.whl#sha256=" + sum + "\">",
		"<a href=\"y-1.0.whl#sha256=" + sum + "\">", // of a page at no index that is known
		`{"files":[{"url":"https://files.example/y-1.0.whl","hashes":{"sha512":"` + sum + `"}}]}`,
		`{"files":[{"url":"https://files.example/y-1.0.whl","hashes":{"sha256":"../` + sum[3:] + `"}}]}`,
		"\x1f\x8bnot packed", "{", "<", "",
	} {
		b.write(b.two, entryPath(newEntries, fmt.Sprint("https://index.example/", i))+bodySuffix, []byte(text))
	}
	if got := b.read("https://files.example/y-1.0.whl", 300*time.Millisecond); got != nil {
		t.Errorf("%d bytes were lent", len(got))
	}
}

// TestLendIsNotLedAway has a cache whose directories are links, as a RUN may make them.
func TestLendIsNotLedAway(t *testing.T) {
	b := newLendBench(t)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(b.two.Dir(), newEntries)); err != nil {
		t.Fatal(err)
	}
	b.lend()
	time.Sleep(50 * time.Millisecond)
	page := fmt.Appendf(nil, "<a href=\"https://files.example/y-1.0.whl#sha256=%s\">y</a>", sumOf(b.body))
	entry := filepath.Join(outside, strings.TrimPrefix(entryPath(newEntries, "https://index.example/simple/y/"), newEntries))
	if err := os.MkdirAll(filepath.Dir(entry), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(entry+bodySuffix, page, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := b.read("https://files.example/y-1.0.whl", 300*time.Millisecond); got != nil {
		t.Error("an entry was made outside")
	}
}

// TestLentFilesAreInspected changes a body after it was lent, and removes the cache that it came from.
func TestLentFilesAreInspected(t *testing.T) {
	b := newLendBench(t)
	b.lend()
	time.Sleep(50 * time.Millisecond)
	page := fmt.Appendf(nil, "<a href=\"https://files.example/y-1.0.whl#sha256=%s\">y</a>", sumOf(b.body))
	b.write(b.two, entryPath(newEntries, "https://index.example/simple/y/")+bodySuffix, page)
	if b.read("https://files.example/y-1.0.whl", 5*time.Second) == nil {
		t.Fatal("nothing was lent")
	}
	b.lending.Stop()
	lent := filepath.Join(b.two.dir, bodiesDir, sumOf(b.body))
	b.lend()
	if _, err := os.Stat(lent); err != nil {
		t.Errorf("what is as it was: %v", err)
	}
	b.lending.Stop()
	source := filepath.Join(b.one.Dir(), entryPath(newEntries, "https://files.example/x-1.0.whl")+bodySuffix)
	if err := os.WriteFile(source, bytes.Repeat([]byte("trojan"), 50_000), 0o600); err != nil {
		t.Fatal(err)
	}
	b.lend()
	if _, err := os.Stat(lent); err == nil {
		t.Error("what was changed is still lent")
	}
	if got := b.read("https://files.example/y-1.0.whl", 0); got != nil {
		t.Error("pip would find it")
	}

	c := newLendBench(t)
	if err := c.one.Release(); err != nil {
		t.Fatal(err)
	}
	all, err := c.caches.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Trust == "one" {
			if _, err := c.caches.Remove(t.Context(), i.Key); err != nil {
				t.Fatal(err)
			}
		}
	}
	kept := filepath.Join(c.caches.Dir(), bodiesDir)
	if users, err := os.ReadDir(kept); err != nil || len(users) != 1 {
		t.Fatalf("the files that are kept: %v, %v, want those of one user", users, err)
	} else if left, err := os.ReadDir(filepath.Join(kept, users[0].Name())); err != nil || len(left) > 0 {
		t.Errorf("what no cache has is kept: %v, %v", left, err)
	}
}

// TestKeepWholeAnswersOnly has entries of older pips, with the body inside.
func TestKeepWholeAnswersOnly(t *testing.T) {
	body := bytes.Repeat([]byte("wheel "), 50_000)
	entry := func(status, headers, vary string) []byte {
		head := "cc=4,\x82\xa8response\x86\xa4body\xc6"
		size := []byte{0, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}
		tail := "\xa7headers" + headers + "\xa6status" + status + "\xa7version\x0b\xa6reason\xa2OK\xaedecode_content\xc2\xa4vary" + vary
		return slices.Concat([]byte(head), size, body, []byte(tail))
	}
	for i, c := range []struct {
		data []byte
		want bool
	}{
		{entry("\xcc\xc8", "\x80", "\x80"), true},
		{entry("\xcd\x01\x2d", "\x81\xa8Location\xa1x", "\x80"), false}, // 301
		{entry("\xcc\xc8", "\x81\xb0Content-Encoding\xa4gzip", "\x80"), false},
		{entry("\xcc\xc8", "\x80", "\x81\xa1*\xc0"), false},
		{bytes.Replace(entry("\xcc\xc8", "\x80", "\x80"), []byte("cc=4"), []byte("cc=2"), 1), false},
		{bytes.Replace(entry("\xcc\xc8", "\x80", "\x80"), []byte("\xc6\x00"), []byte("\xc6\x7f"), 1), false},
		{append(entry("\xcc\xc8", "\x80", "\x80"), body...), false},
		{body, false},
	} {
		b := newLendBench(t)
		b.write(b.one, entryPath(oldEntries, "https://files.example/x-1.0.whl"), c.data)
		if err := b.bodies().Keep(t.Context(), b.one); err != nil {
			t.Fatal(err)
		}
		names, err := b.bodies().names()
		if got := names[sumOf(body)+framedSuffix]; got != c.want || err != nil {
			t.Errorf("entry %d is kept: %v, %v", i, got, err)
		}
	}
}
