package swap

import (
	"context"
	"os"
	"strings"
	"testing"

	securejoin "github.com/cyphar/filepath-securejoin"
)

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
