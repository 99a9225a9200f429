package runtime

import (
	"os"
	"path/filepath"
	"testing"
)

// TestDelegated looks for the group in which one for a sandbox can be made, in directories like those of version 2.
func TestDelegated(t *testing.T) {
	root := t.TempDir()
	for dir, controllers := range map[string]string{
		"": "cpu memory pids", "user.slice": "cpu memory pids", "user.slice/user-1.slice": "memory pids",
		"user.slice/user-1.slice/app.slice": "memory pids", "user.slice/user-1.slice/app.slice/gbuild.scope": "",
	} {
		path := filepath.Join(root, dir)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"cgroup.subtree_control": controllers, "cgroup.procs": ""} {
			if err := os.WriteFile(filepath.Join(path, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	const own = "/user.slice/user-1.slice/app.slice/gbuild.scope"
	for _, c := range []struct {
		limits Limits
		want   string
	}{
		{Limits{Memory: 1}, "user.slice/user-1.slice/app.slice"},
		{Limits{Memory: 1, CPUs: 1, Pids: 1}, "user.slice"},
		{Limits{}, "user.slice/user-1.slice/app.slice/gbuild.scope"},
	} {
		if got := delegated(root, own, controllersOf(c.limits)); got != filepath.Join(root, c.want) {
			t.Errorf("%+v: %s, want %s", c.limits, got, c.want)
		}
	}
	if err := os.Remove(filepath.Join(root, "user.slice/cgroup.procs")); err != nil {
		t.Fatal(err)
	}
	if got := delegated(root, own, []string{"cpu"}); got != root {
		t.Errorf("nothing is delegated: %s, want the root", got)
	}
}
