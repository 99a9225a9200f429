package swap

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	securejoin "github.com/cyphar/filepath-securejoin"
)

const docker = `1082 1034 0:65 / / rw,relatime master:363 - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w
1083 1082 0:68 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
1084 1082 0:69 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
1090 1084 0:71 / /dev/shm rw,nosuid,nodev,noexec,relatime - tmpfs shm rw,size=65536k
1091 1082 254:0 /var/lib/docker/containers/x/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda rw
1092 1082 254:0 /home/a /with\040space/of\134 rw,relatime - ext4 /dev/vda rw
`

func TestMountPointsAreRead(t *testing.T) {
	for root, want := range map[string][]string{
		"/":          {"/proc", "/dev", "/dev/shm", "/etc/resolv.conf", `/with space/of\`},
		"/dev":       {"/shm"},
		"/elsewhere": nil,
	} {
		if got := mountPoints(docker, root); !slices.Equal(got, want) {
			t.Errorf("in %s: %q", root, got)
		}
	}
}

// A directory with a mount in it could be renamed, and the mount would be away meanwhile.
func TestWhatHasAMountInItIsNotPutAside(t *testing.T) {
	s := newScene(t)
	w := New(s.dir, s.root)
	w.mounts = func(string) ([]string, error) { return []string{"/usr/share/x"}, nil }
	before := s.outcome(t)
	for _, target := range []string{"/usr", "/usr/share", "/opt", "/usr/share/x"} {
		err := w.In(context.Background(), []Mount{{Kind: Empty, Target: target}})
		if err == nil || !strings.Contains(err.Error(), "/usr/share/x") {
			t.Errorf("%s: %v", target, err)
		}
	}
	if now := s.outcome(t); now != before {
		t.Errorf("the tree has changed:\n%s", now)
	}
	check(t, w.In(context.Background(), []Mount{{Kind: Empty, Target: "/usr/share/y", UID: os.Geteuid(), GID: os.Getegid()}}))
	check(t, w.Out())
}

// A cache is in one place only, so that it is seen in a second one through a link to the first.
func TestACacheIsShownTwice(t *testing.T) {
	for i, name := range []string{"renamed", "copied"} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			before := described(t, s.root)
			w := New(s.dir, s.root)
			cache := s.caches[i]
			inside := map[string]string{"renamed": "http", "copied": "sub"}[name]
			check(t, w.In(context.Background(), []Mount{
				{Kind: Lent, Source: cache, Target: "/a"}, {Kind: Lent, Source: cache, Target: "/root/b"}, {Kind: Lent, Source: cache + "/" + inside, Target: "/root/c"},
				{Kind: Lent, Source: cache, Target: "/var/lib/d", ReadOnly: true}, {Kind: Copied, Source: cache + "/" + inside, Target: "/var/lib/e"},
			}))
			for _, dir := range []string{"/a/", "/root/b/", "/a/" + inside + "/", "/root/c/", "/var/lib/d/", "/var/lib/e/"} {
				at, err := securejoin.SecureJoin(s.root, dir)
				check(t, err)
				check(t, os.WriteFile(at+"/from"+strings.ReplaceAll(dir, "/", "-"), nil, 0o600))
			}
			check(t, w.Out())
			for file, want := range map[string]bool{"from-a-": true, "from-root-b-": true, inside + "/from-a-" + inside + "-": true, inside + "/from-root-c-": true, "from-var-lib-d-": false,
				inside + "/from-var-lib-e-": false} {
				if _, err := os.Lstat(cache + "/" + file); want != (err == nil) {
					t.Errorf("%s in the cache: %v", file, err == nil)
				}
			}
			if now := described(t, s.root); now != before {
				t.Errorf("the tree has changed:\n%s", now)
			}
		})
	}
}
