package rootedit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// imageRoot is the root of an image, made of files and links.
type imageRoot struct {
	t   testing.TB
	dir string
}

func newImageRoot(t testing.TB) *imageRoot {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &imageRoot{t, dir}
}

// place makes the directory of a path, and returns where it is.
func (r *imageRoot) place(p string) string {
	r.t.Helper()
	f := filepath.Join(r.dir, p)
	if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
		r.t.Fatal(err)
	}
	return f
}

func (r *imageRoot) file(p, text string) *imageRoot {
	r.t.Helper()
	if err := os.WriteFile(r.place(p), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
	return r
}

func (r *imageRoot) link(target, p string) *imageRoot {
	r.t.Helper()
	if err := os.Symlink(target, r.place(p)); err != nil {
		r.t.Fatal(err)
	}
	return r
}

func openRoot(t *testing.T, dir string) Place {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return Place{Root: f, UID: os.Getuid(), GID: os.Getgid()}
}

// rootTree lists what is below a directory, with the targets of links and the text of files.
func rootTree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel := strings.TrimPrefix(p, dir)
		switch {
		case d.Type()&os.ModeSymlink != 0:
			target, _ := os.Readlink(p)
			fmt.Fprintf(&b, "%s -> %s\n", rel, target)
		case d.Type().IsRegular() && !strings.Contains(rel, "cache"):
			text, _ := os.ReadFile(p)
			fmt.Fprintf(&b, "%s %q\n", rel, text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestLinks(t *testing.T) {
	r := newImageRoot(t)
	r.file("/usr/lib/stub.so", "").file("/usr/lib/real.so", "image's own").link("old", "/usr/lib/old.so").link("usr/lib", "/lib")
	links := []Link{{"a.so.1", "/usr/lib/a.so"}, {"x", "/usr/lib/stub.so"}, {"x", "/usr/lib/real.so"}, {"new", "/usr/lib/old.so"}, {"b", "/lib/b.so"}, {"/opt/t", "/opt/n/e/w"}}
	root := openRoot(t, r.dir)
	for range 2 { // a second time changes nothing
		if left, err := (Edits{Links: links}).Make(root); err != nil || left != nil {
			t.Fatal(left, err)
		}
		want := "/lib -> usr/lib\n/opt/n/e/w -> /opt/t\n/usr/lib/a.so -> a.so.1\n/usr/lib/b.so -> b\n/usr/lib/old.so -> new\n/usr/lib/real.so -> x\n/usr/lib/stub.so -> x\n"
		if got := rootTree(t, r.dir); got != want {
			t.Fatalf("%s\nwant\n%s", got, want)
		}
	}
	// What an image has in the place of a directory, or of the link itself, stays, and the rest is made.
	r.link("/nowhere", "/usr/local/nvidia").file("/usr/lib/file", "")
	left, err := (Edits{Links: []Link{{"x", "/usr/lib"}, {"x", "/usr/local/nvidia/lib64/x"}, {"x", "/usr/lib/file/x"}, {"x", "/usr/lib/rest"}}}).Make(root)
	if err != nil || strings.Join(left, " ") != "/usr/lib /usr/local/nvidia/lib64/x /usr/lib/file/x" {
		t.Error(left, err)
	}
	if got := rootTree(t, r.dir); !strings.Contains(got, "/usr/lib/rest -> x\n") || !strings.Contains(got, "/usr/local/nvidia -> /nowhere\n") {
		t.Error(got)
	}
}

// SEC-80, SEC-82: the links of an image lead nowhere outside it.
func TestEditsStayInside(t *testing.T) {
	outer := newImageRoot(t).file("/canary/ld.so.conf", "mine").file("/canary/ld.so.cache", "mine").file("/canary/lib.so", "mine").
		file("/canary/compat/libcuda.so.999.1", "").file("/canary/compat/libcuda.so.1", "")
	before := rootTree(t, outer.dir)
	canary := outer.dir + "/canary"
	for i, make := range []func(*imageRoot){
		func(r *imageRoot) { r.link(canary, "/etc") },
		func(r *imageRoot) { r.link("../../../../../../../.."+canary, "/etc") },
		func(r *imageRoot) { r.link(canary, "/etc/ld.so.conf.d").link(canary+"/ld.so.conf", "/etc/ld.so.conf") },
		func(r *imageRoot) {
			r.link(canary+"/ld.so.cache", "/etc/ld.so.cache").link(canary+"/ld.so.cache", "/etc/ld.so.cache~")
		},
		func(r *imageRoot) { r.link(canary+"/lib.so", confFile) },
		func(r *imageRoot) { r.link(canary, "/usr/lib").link(canary, "/usr/local/cuda") },
		func(r *imageRoot) { r.link(canary+"/lib.so", "/usr/lib/lib.so").link(canary, "/var/cache/ldconfig") },
		func(r *imageRoot) { r.link("loop", "/loop").link("/loop", "/etc").link("/loop", "/usr") },
		func(r *imageRoot) { r.link("/proc/self/root"+canary, "/usr/lib").link("/proc/self/cwd", "/etc") },
		func(r *imageRoot) { r.file("/etc", "a file").file("/usr", "a file") },
	} {
		r := newImageRoot(t)
		make(r)
		e := Edits{Links: []Link{{"x", "/usr/lib/lib.so"}, {"x", "/usr/local/nvidia/lib64/y.so"}},
			Libraries: []string{"/usr/lib/lib.so"}, LibraryDirs: []string{"/usr/lib"}, Compat: Compat{Driver: "580.1"}, Glibc: true}
		// Whether it can be done depends on the image; that nothing is done outside does not.
		_, err := e.Make(openRoot(t, r.dir))
		if got := rootTree(t, outer.dir); got != before {
			t.Fatalf("case %d (%v) reached outside:\n%s", i, err, got)
		}
	}
}

// A driver that needs glibc is refused where there is none.
func TestMusl(t *testing.T) {
	r := newImageRoot(t).file("/lib/ld-musl-x86_64.so.1", "")
	e := Edits{Glibc: true}
	if _, err := e.Make(openRoot(t, r.dir)); err == nil || !strings.Contains(err.Error(), "musl") {
		t.Error("musl image:", err)
	}
	r.file("/lib64/ld-linux-x86-64.so.2", "")
	if _, err := e.Make(openRoot(t, r.dir)); err != nil {
		t.Error("musl image with gcompat:", err)
	}
	if !(Edits{}).Empty() || e.Empty() {
		t.Error("Empty")
	}
}
