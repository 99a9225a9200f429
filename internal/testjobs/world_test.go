// This file owns what all jobs share: the images of the project in an Engine, a registry with a base, and projects.

package testjobs

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gbuild/gbuild/internal/testengine"
	"github.com/gbuild/gbuild/internal/testimage"
)

// world is what all jobs share.
type world struct {
	dir      string
	images   map[string]string // names of the images, by the target of the Dockerfile
	tars     map[string]string // their files
	registry *testimage.Registry
	base     string // an image with a shell
	binaries string // a directory with gbuild
	refs     atomic.Int64
}

var (
	ownEngine testengine.Engine
	made      *world // by the first test that needs it; TestMain removes it
)

func TestMain(m *testing.M) {
	code := m.Run()
	if made != nil {
		made.remove()
	}
	ownEngine.Stop()
	os.Exit(code)
}

// newWorld makes the world once for all tests. It needs root and an Engine.
func newWorld(t *testing.T) *world {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("the Docker Engine belongs to root")
	}
	w, err := theWorld()
	var missing *missingError
	if errors.As(err, &missing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// missingError is what the machine lacks for these tests.
type missingError struct{ error }

var theWorld = sync.OnceValues(func() (*world, error) {
	ctx := context.Background()
	if err := ownEngine.Reach(); err != nil {
		return nil, &missingError{err}
	}
	shell, err := testimage.Shell()
	if err != nil {
		return nil, &missingError{err}
	}
	cache := os.Getenv("GBUILD_TEST_CACHE")
	if cache == "" {
		return nil, &missingError{errors.New("GBUILD_TEST_CACHE names no directory for the Debian that the image is made from")}
	}
	dir, err := os.MkdirTemp("/var/tmp", "gbuild-jobs-")
	if err != nil {
		return nil, err
	}
	made = &world{dir: dir, registry: testimage.NewRegistry(), images: map[string]string{}, tars: map[string]string{}}
	if made.base, err = made.registry.Put(ctx, "base/shell:1", shell); err != nil {
		return nil, err
	}
	project, err := testengine.NewProject(ctx, "../..", cache, filepath.Join(dir, "image"))
	if err != nil {
		return nil, err
	}
	made.binaries = filepath.Join(dir, "image/compiled/src")
	for _, target := range []string{"gbuild", "debug"} {
		made.images[target] = fmt.Sprintf("gbuild-jobs/%s:%d", target, os.Getpid())
		if made.tars[target], err = project.Image(ctx, target, made.images[target]); err != nil {
			return nil, err
		}
	}
	return made, nil
})

func (w *world) remove() {
	for _, image := range w.images {
		_ = exec.Command("docker", "rmi", "--force", image).Run()
	}
	w.registry.Close()
	os.RemoveAll(w.dir)
}

// ref is a name in the registry that no other test has.
func (w *world) ref(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("%s/team/app%d:1", w.registry.Host(), w.refs.Add(1))
}

// project writes a directory that everybody may read.
func (w *world) project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := os.MkdirTemp(w.dir, "project-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	writeFiles(t, dir, files)
	return dir
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, body := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// docker runs a container with the options, and returns what it printed.
func (w *world) docker(t *testing.T, options ...string) string {
	t.Helper()
	cmd := exec.Command("docker", append([]string{"run", "--rm", "--network", "host"}, options...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}

// pushed returns the small files of an image in the registry, by name, without those of the base with the shell.
func (w *world) pushed(t *testing.T, ref string) map[string]string {
	t.Helper()
	parsed, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(parsed)
	if err != nil {
		t.Fatal(err)
	}
	r := mutate.Extract(img)
	defer r.Close()
	files := map[string]string{}
	for name, f := range filesIn(t, r) {
		if f.isSmall {
			files[name[1:]] = string(f.body)
		}
	}
	return files
}

// command runs a line of words in a directory, as somebody whom git knows.
func command(t *testing.T, dir, line string) {
	t.Helper()
	words := strings.Fields(line)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=n", "GIT_AUTHOR_EMAIL=e@example", "GIT_COMMITTER_NAME=n", "GIT_COMMITTER_EMAIL=e@example", "GIT_CONFIG_GLOBAL=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

func pemOf(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}
