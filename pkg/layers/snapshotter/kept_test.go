package snapshotter

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// keeping keeps names: those that begin with "foreign:" or "empty:" as such.
func keeping(names string) *Kept {
	k := &Kept{}
	for _, name := range strings.Fields(names) {
		if n, ok := strings.CutPrefix(name, "foreign:"); ok {
			k.keep(n, foreign)
		} else if n, ok := strings.CutPrefix(name, "empty:"); ok {
			k.keep(n, empty)
		} else {
			k.Hide(name)
		}
	}
	return k
}

func TestKept(t *testing.T) {
	for names, c := range map[string]struct{ has, above, neither string }{
		"":                      {"", "", "/ /a"},
		"/a":                    {"/a /a/b /a/b/c", "/", "/b /ab /a.b"},
		"/a/b /a/c":             {"/a/b /a/c/d", "/ /a", "/a/d /b /a/bb"},
		"/a/b /a":               {"/a /a/b /a/c", "/", "/b"},
		"/a /a/b":               {"/a /a/b /a/c", "/", "/b"},
		"/a/":                   {"/a /a/x", "/", "/b"},
		"/":                     {"", "", "/a"},
		"foreign:/a/f /a/d":     {"/a/f /a/d /a/d/x", "/ /a", "/a/g"},
		"foreign:/a/f /a":       {"/a /a/f /a/g", "/", "/b"},
		"empty:/a/f foreign:/b": {"/a/f /b", "/ /a", "/c"},
	} {
		k := keeping(names)
		for _, name := range strings.Fields(c.has) {
			if !k.has(name) || k.above(name) {
				t.Errorf("%q: %s is not kept", names, name)
			}
		}
		for _, name := range strings.Fields(c.above) {
			if k.has(name) || !k.above(name) {
				t.Errorf("%q: %s is not above a kept name", names, name)
			}
		}
		for _, name := range strings.Fields(c.neither) {
			if k.has(name) || k.above(name) {
				t.Errorf("%q: %s is kept, or above a kept name", names, name)
			}
		}
	}
	var none *Kept
	if none.has("/a") || none.above("/") || !none.same(nil) || none.same(keeping("/a")) {
		t.Error("nothing keeps something")
	}
}

// What a state has decides what is kept from it: a link in the place of a directory above a mount is hidden, a file in the place of
// somebody's is refused.
func TestKeptFromAView(t *testing.T) {
	dir := t.TempDir()
	check(t, os.MkdirAll(dir+"/var/lib", 0o755))
	check(t, os.Symlink("/run", dir+"/var/run"))
	check(t, os.WriteFile(dir+"/var/lib/f", []byte("x"), 0o644))
	check(t, os.WriteFile(dir+"/none", nil, 0o644))
	for names, want := range map[string]string{
		"/var/run/secrets/x":                         "/var/run",
		"/var/lib/gbuild":                            "/var/lib/gbuild",
		"/var/lib/f":                                 "/var/lib/f",
		"/run/secrets/x":                             "/run/secrets/x",
		"foreign:/var/lib/g foreign:/srv/a/b":        "/srv/a/b /var/lib/g",
		"foreign:/var/lib/f":                         "conflict /var/lib/f",
		"foreign:/var/lib":                           "conflict /var/lib",
		"foreign:/var/run/a/f /var/run/b":            "conflict /var/run/a/f",
		"empty:/none":                                "/none",
		"empty:/var/lib/f":                           "conflict /var/lib/f",
		"foreign:/none":                              "conflict /none",
		"/var/run/secrets/x /var/lib/f /var/run/y/z": "/var/lib/f /var/run",
	} {
		base := keeping(names)
		kept, _, err := base.over(rootfs.NewView(dir))
		var got []string
		var conflict *ConflictError
		if errors.As(err, &conflict) {
			got = []string{"conflict", conflict.Name}
		} else {
			check(t, err)
			kept.top.list("/", &got)
			slices.Sort(got)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", names, got, want)
		}
		if err == nil && kept.same(base) != !slices.Contains(got, "/var/run") {
			t.Errorf("%q: the same as before: %v", names, kept.same(base))
		}
	}
}

// list lists what is kept.
func (n *keptName) list(name string, all *[]string) {
	if n.kind != above {
		*all = append(*all, name)
	}
	for base, child := range n.names {
		child.list(filepath.Join(name, base), all)
	}
}
