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

// What is kept of a place is told by what the kernel says of mounts, whatever its names are.
func TestMountPoints(t *testing.T) {
	for name, c := range map[string]struct{ dir, mountinfo, want string }{
		"a default container": {"/", `500 400 0:50 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/a:/b,upperdir=/u
501 500 0:53 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
502 500 0:54 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
503 502 0:55 / /dev/pts rw - devpts devpts rw
504 500 8:1 /var/lib/docker/containers/x/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/sda1 rw
505 501 0:53 /bus /proc/bus ro,relatime - proc proc rw`, "/proc|/dev|/dev/pts|/etc/resolv.conf|/proc/bus"},
		"files over files, read-only": {"/", `9 1 8:1 /usr/lib/libcuda.so.535 /usr/lib/x86_64-linux-gnu/libcuda.so.535 ro,nosuid,nodev - ext4 /dev/sda1 rw`,
			"/usr/lib/x86_64-linux-gnu/libcuda.so.535"},
		"octal escapes": {"/", `9 1 8:1 / /a\040b\011c\012d\134e\043f rw - ext4 /dev/sda1 rw`, "/a b\tc\nd\\e#f"},
		"no escapes":    {"/", `9 1 8:1 / /a\b\18\9 rw - ext4 /dev/sda1 rw`, `/a\b\18\9`},
		"other spaces":  {"/", "9 1 8:1 / /a\u00a0b\u2003c rw - ext4 /dev/sda1 rw", "/a\u00a0b\u2003c"},
		"no UTF-8":      {"/", "9 1 8:1 / /a\xff\xfe rw - ext4 /dev/sda1 rw", "/a\xff\xfe"},
		"nested, and one over another": {"/", `9 1 8:1 / /a rw - ext4 /dev/sda1 rw
10 9 8:2 / /a/b/c rw - ext4 /dev/sda2 rw
11 10 8:3 / /a/b/c rw - ext4 /dev/sda3 rw`, "/a|/a/b/c|/a/b/c"},
		"through a link the kernel names what it leads to": {"/", `9 1 0:9 / /run/secrets/kubernetes.io/serviceaccount ro - tmpfs tmpfs rw`,
			"/run/secrets/kubernetes.io/serviceaccount"},
		"optional fields":      {"/", `9 1 8:1 / /a rw shared:1 master:2 propagate_from:3 unbindable - ext4 /dev/sda1 rw`, "/a"},
		"a name that is gone":  {"/", `9 1 8:1 / /a//deleted rw - ext4 /dev/sda1 rw`, ""},
		"below a directory":    {"/x/tree", "9 1 8:1 / /x/tree rw - t d rw\n9 1 8:1 / /x/tree/a rw - t d rw\n9 1 8:1 / /x/trees rw - t d rw\n9 1 8:1 / /x rw - t d rw", "/a"},
		"with a slash":         {"/x/tree/", `9 1 8:1 / /x/tree/a rw - t d rw`, "/a"},
		"nothing, and no line": {"/", "\n\n9 1 8:1\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			if c.want != "" {
				want = strings.Split(c.want, "|")
			}
			if got := MountPoints(c.mountinfo, c.dir); !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

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
