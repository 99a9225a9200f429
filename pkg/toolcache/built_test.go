package toolcache

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// A cache mount is left out of what decides a build only where tools keep their own caches.
func TestPlainMounts(t *testing.T) {
	for target, want := range map[string]bool{"/root/.cache": true, "/root/.cache/torch": true, "/var/cache/apt": true, "/root/.ccache": true, "/sccache": true,
		"/cache": false, "/src/cache": false, "/opt/cached-headers": false} {
		if got := plain(&dockerfile.Mount{Type: dockerfile.MountCache, Target: target}); got != want {
			t.Errorf("%s: %t", target, got)
		}
	}
}

// Lines with options count, wherever they are named from; names, versions and hashes do not.
func TestRequirementOptions(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"r.txt": "a==1 --hash=sha256:1 \\\n  --hash=sha256:2\n# -i x\nb==2 # --no\n-r sub/s.txt\n", "sub/s.txt": "--no-binary c\nc==3 --config-settings=\"x=1\"\n-c../c.in\n", "c.in": "d==1\n-e .\n",
		"project.toml": "", "loop.txt": "-r loop.txt",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	q := &requirements{view: rootfs.NewView(dir), named: map[string]bool{}}
	if err := q.read("/r.txt", maxNested); err != nil {
		t.Fatal(err)
	}
	if want := []string{"--no-binary c", "c==3 --config-settings=\"x=1\"", "-e ."}; !slices.Equal(q.options, want) || len(q.named) != 3 || !q.named["/c.in"] {
		t.Errorf("%q of %v", q.options, q.named)
	}
	for _, name := range []string{"/project.toml", "/loop.txt", "/gone.txt"} {
		if q.read(name, maxNested) == nil {
			t.Errorf("%s is clear", name)
		}
	}
}
