package copying

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	file, dir, none := Info{Exists: true, Parent: true}, Info{Exists: true, Dir: true, Parent: true}, Info{Parent: true}
	at := func(i Info, p string) Info { i.Path = p; return i }
	for _, c := range []struct {
		from, to  Info
		dir, name string // name "" is refused
	}{
		{at(file, "/a/f"), at(dir, "/d"), "/d", "f"},
		{at(file, "/a/f"), at(none, "/d/new"), "/d", "new"},
		{at(file, "/a/f"), at(none, "/d/new/"), "", ""},
		{at(file, "/a/f"), at(file, "/d/g"), "/d", "g"},
		{at(file, "/a/f"), at(file, "/d/g/"), "", ""},
		{at(file, "/a/f/"), at(dir, "/d"), "", ""},
		{at(file, "/a/f"), at(Info{}, "/no/where"), "", ""},
		{at(dir, "/a/s"), at(dir, "/d"), "/d", "s"},
		{at(dir, "/a/s/"), at(dir, "/d/"), "/d/", "s"},
		{at(dir, "/a/s/."), at(dir, "/d"), "/d", "."},
		{at(dir, "/a/s"), at(none, "/d/new"), "/d", "new"},
		{at(dir, "/a/s/."), at(none, "/d/new"), "/d", "new"},
		{at(dir, "/a/s"), at(none, "new/"), ".", "new"},
		{at(dir, "/a/s"), at(file, "/d/g"), "", ""},
		{at(dir, "/"), at(dir, "out"), "out", "."},
		{at(none, "/a/x"), at(dir, "/d"), "", ""},
	} {
		got, err := Plan(c.from, c.to)
		if (err != nil) != (c.name == "") || err == nil && got != (Target{c.dir, c.name}) {
			t.Errorf("%+v to %+v: %+v, %v", c.from, c.to, got, err)
		}
	}
}

func openDir(t *testing.T, dir string) *os.File {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// What is packed and unpacked is the same: contents, modes, times and links.
func TestThereAndBack(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	old := time.Unix(1e9, 0)
	must(t, os.MkdirAll(from+"/tree/sub", 0o755), os.WriteFile(from+"/tree/f", []byte("text"), 0o640), os.WriteFile(from+"/tree/sub/g", nil, 0o400),
		os.Symlink("/etc/passwd", from+"/tree/link"), os.Chtimes(from+"/tree/f", old, old), os.Chmod(from+"/tree/sub", 0o500), os.Chtimes(from+"/tree/sub", old, old))
	t.Cleanup(func() { os.Chmod(from+"/tree/sub", 0o700); os.Chmod(to+"/made/sub", 0o700) })
	var out bytes.Buffer
	must(t, Pack(&out, openDir(t, from), "tree", "made", false))
	for range 2 { // over what is there, too
		must(t, Unpack(bytes.NewReader(out.Bytes()), openDir(t, to), "/", false))
		os.Chmod(to+"/made/sub", 0o700)
	}
	text, err := os.ReadFile(to + "/made/f")
	must(t, err)
	info, err := os.Stat(to + "/made/f")
	must(t, err)
	link, err := os.Readlink(to + "/made/link")
	must(t, err)
	sub, err := os.Stat(to + "/made/sub")
	must(t, err)
	if string(text) != "text" || info.Mode() != 0o640 || !info.ModTime().Equal(old) || link != "/etc/passwd" || !sub.ModTime().Equal(old) {
		t.Errorf("%q %v %q %v", text, info, link, sub)
	}
}

// No link of the tree leads out of it, neither on the way nor at the end.
func TestNothingLeadsOut(t *testing.T) {
	outside, root := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(outside+"/secret", []byte("secret"), 0o600), os.Symlink(outside, root+"/out"), os.Symlink(outside+"/secret", root+"/file"), os.Symlink("../../../.."+outside, root+"/up"))
	for _, name := range []string{"out/secret", "file", "up/secret", "/../../" + outside + "/secret"} {
		var out bytes.Buffer
		if err := Pack(&out, openDir(t, root), name, "x", true); err == nil || bytes.Contains(out.Bytes(), []byte("secret")) && bytes.Contains(out.Bytes(), []byte("\x00secret")) {
			t.Errorf("%s was read: %v", name, err)
		}
		if i := Stat(openDir(t, root), name); i.Exists {
			t.Errorf("%s is there", name)
		}
	}
	for _, dir := range []string{"out", "up"} {
		if err := Unpack(archive(t, &tar.Header{Name: "planted", Typeflag: tar.TypeReg}), openDir(t, root), dir, false); err == nil {
			t.Errorf("unpacked in %s", dir)
		}
	}
	for name, headers := range map[string][]*tar.Header{
		"by dots":             {{Name: "../../planted", Typeflag: tar.TypeReg}},
		"absolute":            {{Name: outside + "/planted", Typeflag: tar.TypeReg}},
		"by a link it brings": {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: outside}, {Name: "l/planted", Typeflag: tar.TypeReg}},
		"over a link":         {{Name: "file", Typeflag: tar.TypeReg}},
		"a hard link":         {{Name: "h", Typeflag: tar.TypeLink, Linkname: "../.." + outside + "/secret"}},
		"a directory's mode":  {{Name: "out", Typeflag: tar.TypeDir, Mode: 0o777}},
	} {
		_ = Unpack(archive(t, headers...), openDir(t, root), "/", false)
		left, err := os.ReadDir(outside)
		info, err2 := os.Stat(outside)
		text, err3 := os.ReadFile(outside + "/secret")
		must(t, err, err2, err3)
		if len(left) != 1 || info.Mode().Perm() == 0o777 || string(text) != "secret" {
			t.Errorf("%s: outside are %v", name, left)
		}
	}
	if h, err := os.Lstat(filepath.Join(root, "h")); err == nil && h.Size() > 0 {
		t.Error("a file of outside was linked")
	}
}

func archive(t *testing.T, headers ...*tar.Header) io.Reader {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		must(t, w.WriteHeader(h))
	}
	must(t, w.Close())
	return &out
}

// A file and a directory do not take each other's place, and what is no tar is refused.
func TestUnpackRefuses(t *testing.T) {
	root := t.TempDir()
	must(t, os.MkdirAll(root+"/dir", 0o755), os.WriteFile(root+"/file", nil, 0o600))
	for want, in := range map[string]io.Reader{
		"over a file":      archive(t, &tar.Header{Name: "file", Typeflag: tar.TypeDir}),
		"over a directory": archive(t, &tar.Header{Name: "dir", Typeflag: tar.TypeReg}),
		"reading the":      strings.NewReader(strings.Repeat("no tar", 200)),
	} {
		if err := Unpack(in, openDir(t, root), "/", false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
