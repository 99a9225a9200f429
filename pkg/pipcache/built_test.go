package pipcache

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// built makes a cache of what is built in a scope, with a file of some size, that was last used at a time.
func built(t *testing.T, c *Caches, id, scope string, size int64, used time.Time) *Lease {
	t.Helper()
	l, err := c.Acquire(t.Context(), id, Shared, Options{Scope: scope, About: "about " + scope, UID: os.Getuid(), GID: os.Getgid()})
	if err != nil {
		t.Fatal(err)
	}
	if size > 0 {
		if err := os.WriteFile(filepath.Join(l.Dir(), "x.whl"), make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if kept, err := l.ReleaseFilled(); err != nil || kept != (size > 0) {
		t.Fatalf("%s: kept %t, %v", scope, kept, err)
	}
	if size > 0 {
		if err := os.Chtimes(filepath.Join(l.dir, metaFile), used, used); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func TestBuiltCachesHaveBounds(t *testing.T) {
	c, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	built(t, c, "pip-wheels", "empty", 0, now)
	built(t, c, "pip-wheels", "old", 10, now.Add(-31*24*time.Hour))
	built(t, c, "space/pip-wheels", "last", 40<<10, now)
	built(t, c, "uv-built", "second", 40<<10, now.Add(-time.Hour))
	built(t, c, "uv-built", "third", 40<<10, now.Add(-2*time.Hour))
	built(t, c, "/root/.cache/pip", "a mount", 40<<10, now.Add(-100*24*time.Hour))
	built(t, c, "uv", "", 40<<10, now.Add(-100*24*time.Hour))
	busy, err := c.Acquire(t.Context(), "pip-wheels", Shared, Options{Scope: "busy", UID: os.Getuid(), GID: os.Getgid()})
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Release()
	freed, err := c.TrimBuilt(t.Context(), []string{"pip-wheels", "uv-built"}, BuiltAge, 100<<10)
	if err != nil || freed < 40<<10 {
		t.Errorf("freed %d, %v", freed, err)
	}
	all, err := c.List()
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for _, i := range all {
		left[i.Scope] = true
		if i.Scope == "last" && i.About != "about last" {
			t.Errorf("%+v", i)
		}
	}
	for scope, want := range map[string]bool{"empty": false, "old": false, "last": true, "second": true, "third": false, "a mount": true, "": true, "busy": true} {
		if left[scope] != want {
			t.Errorf("%q is left: %t", scope, left[scope])
		}
	}
}

// What stands for a cache replaces what the cache has under its names, and leads nowhere else.
func TestRenew(t *testing.T) {
	c, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	acquire := func() *Lease {
		l, err := c.Acquire(t.Context(), "pip", Shared, mine())
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	outside := t.TempDir()
	write := func(dir string, files map[string]string) {
		for name, text := range files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	l := acquire()
	write(l.Dir(), map[string]string{"a/same": "old", "a/kept": "old", "file/was/directory": "old", "directory": "old"})
	if err := os.Symlink(outside, filepath.Join(l.Dir(), "link")); err != nil {
		t.Fatal(err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	l = acquire()
	if err := l.Renew(); err != nil {
		t.Fatal(err)
	}
	if !empty(l.Dir()) {
		t.Error("a renewed cache is not empty")
	}
	write(l.Dir(), map[string]string{"a/same": "new", "a/more": "new", "file": "new", "directory/x": "new", "link/x": "new"})
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	l = acquire()
	defer l.Release()
	for name, want := range map[string]string{"a/same": "new", "a/kept": "old", "a/more": "new", "file": "new", "directory/x": "new", "link/x": "new"} {
		if got, err := os.ReadFile(filepath.Join(l.Dir(), name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("a link was followed: %v, %v", entries, err)
	}
	if left, _ := filepath.Glob(filepath.Join(c.dir, ".*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A directory that a killed process left goes when the next one is made, and one that is in use stays.
func TestWorkspace(t *testing.T) {
	c, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(c.dir, workPrefix+"dead")
	if err := os.WriteFile(dead+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dead, "upper"), 0o755); err != nil {
		t.Fatal(err)
	}
	one, remove, err := c.Workspace()
	if err != nil {
		t.Fatal(err)
	}
	two, removeTwo, err := c.Workspace()
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{dead: false, one: true, two: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
	if err := removeTwo(); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(c.dir, ".*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
