// This file owns what all places share: the binary, a registry with a base, contexts, and images for containers.

package testplaces

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/gbuild/gbuild/internal/testengine"
	"github.com/gbuild/gbuild/internal/testimage"
)

// world is what all places share.
type world struct {
	dir      string // everybody may enter; it has gbuild, self and a directory for each place
	registry *testimage.Registry
	base     string // the image that the Dockerfiles begin with

	index  string // a package index, where the Dockerfiles want one
	builds map[string]dockerfile

	making  sync.Mutex
	results map[string]result
	images  map[string]string // those for containers, by kind

	referring  sync.Mutex
	references map[string]map[string]string // the files of root's images, by the letter of the Dockerfile

	cleanUp func(func()) // is done when all places are done
}

// newWorld makes the world below /var/tmp: a place must be able to have an overlay there, unless it is about that.
func newWorld(t *testing.T) *world {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("places are made by root, who can become any other user")
	}
	dir, err := os.MkdirTemp("/var/tmp", "gbuild-places-")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{dir: dir, registry: testimage.NewRegistry(), images: map[string]string{},
		builds: dockerfiles, results: map[string]result{}, cleanUp: t.Cleanup}
	w.cleanUp(func() { os.RemoveAll(dir) })
	w.cleanUp(w.registry.Close)
	shell, err := testimage.Shell()
	if err != nil {
		t.Skip(err)
	}
	if w.base, err = w.registry.Put(context.Background(), "base/shell:1", shell); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w.addBinaries(t)
	return w
}

// addBinaries makes the release binary, which runs in images without a library, and copies this one.
func (w *world) addBinaries(t *testing.T) {
	t.Helper()
	build := exec.Command("make", "--no-print-directory", "-C", "../..", "build", "BINARY="+filepath.Join(w.dir, "gbuild"))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the release binary: %v\n%s", err, out)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(filepath.Join(w.dir, "self"), self, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// ownEngine is the daemon that TestMain ends.
var ownEngine testengine.Engine

// needs says for each ability that a place may need what keeps it away here, or nil.
var needs = map[string]func() error{
	"docker": sync.OnceValue(ownEngine.Reach),
	"podman": sync.OnceValue(func() error {
		out, err := exec.Command("podman", "--runtime", "runc", "--version").CombinedOutput()
		return said(err, out)
	}),
	"user":           func() error { _, err := user.Lookup(ordinary); return err },
	"proot":          installed("proot"),
	"fuse-overlayfs": installed("fuse-overlayfs"),
	"slurm":          installed("slurmctld", "slurmd", "sbatch", "sinfo"),
}

// installed looks for programs.
func installed(programs ...string) func() error {
	return func() (missing error) {
		for _, program := range programs {
			_, err := exec.LookPath(program)
			missing = errors.Join(missing, err)
		}
		return missing
	}
}

// said adds what a program said about its failure.
func said(err error, out []byte) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
}

// containerImage makes an image for containers: newuidmap is there as Debian has it ("setuid"), with file capabilities
// ("filecaps") or not at all ("bare"); or proot is ("proot"). Or there is nothing but what belongs to gbuild ("own").
func (w *world) containerImage(t *testing.T, kind string) string {
	t.Helper()
	w.making.Lock()
	defer w.making.Unlock()
	if name, made := w.images[kind]; made {
		return name
	}
	img, err := testimage.Shell()
	path := "/usr/bin:/bin"
	switch {
	case err != nil || kind == "bare":
	case kind == "own":
		img, err = ownImage()
		path = ownPath
	default:
		var files []testimage.File
		files, err = programs(kind)
		if err == nil {
			img, err = testimage.Append(img, files...)
		}
	}
	if err != nil {
		t.Skip("no image for containers: ", err)
	}
	name := fmt.Sprintf("gbuild-places/%s:%d", kind, os.Getpid())
	tar := mutate.Extract(img)
	defer tar.Close()
	load := exec.Command("docker", "import", "--change", "ENV PATH="+path, "-", name)
	load.Stdin = tar
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}
	w.cleanUp(func() { _ = exec.Command("docker", "rmi", "--force", name).Run() })
	w.images[kind] = name
	return name
}

// ownPath is where the image that is gbuild's own has the program by which places set the environment.
const ownPath = "/.gbuild/tools"

// ownImage has the mark of gbuild's own image, and nothing that a job could need. gbuild itself is bound into it.
func ownImage() (v1.Image, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	body, err := os.ReadFile(busybox)
	if err != nil {
		return nil, err
	}
	return testimage.Append(empty.Image, testimage.File{Name: ".gbuild/image", Body: "# what is not a part of what is built\n" + ownPath + "\n"},
		testimage.File{Name: strings.TrimPrefix(ownPath, "/") + "/env", Mode: 0o755, Body: string(body)})
}

// plant unpacks the base with the shell, for the ordinary user if there is one.
func (w *world) plant(t *testing.T, dir string) {
	t.Helper()
	img, err := testimage.Shell()
	if err == nil {
		err = os.Mkdir(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	tar := mutate.Extract(img)
	defer tar.Close()
	unpack := exec.Command("tar", "-x", "--no-same-owner", "-C", dir)
	unpack.Stdin = tar
	out, err := unpack.CombinedOutput()
	if err == nil && needs["user"]() == nil {
		out, err = exec.Command("chown", "-R", ordinary+":", dir).CombinedOutput()
	}
	if err != nil {
		t.Fatal(said(err, out))
	}
}

// programs are what an image has beside a shell.
func programs(kind string) (files []testimage.File, err error) {
	var copies []testimage.File
	switch kind {
	case "proot":
		copies = []testimage.File{{Name: "/usr/bin/proot", Mode: 0o755}}
	case "filecaps":
		copies = []testimage.File{
			{Name: "/usr/bin/newgidmap", Mode: 0o755, Xattrs: map[string]string{"security.capability": fileCapability(6)}},
			{Name: "/usr/bin/newuidmap", Mode: 0o755, Xattrs: map[string]string{"security.capability": fileCapability(7)}},
		}
	case "setuid":
		copies = []testimage.File{{Name: "/usr/bin/newgidmap", Mode: 0o4755}, {Name: "/usr/bin/newuidmap", Mode: 0o4755}}
	}
	const ranges = "root:100000:65536\napp:200000:65536\n"
	files = append(files, testimage.File{Name: "etc/subuid", Body: ranges}, testimage.File{Name: "etc/subgid", Body: ranges})
	libraries := map[string]bool{}
	for _, program := range copies {
		out, err := exec.Command("ldd", program.Name).Output()
		if err != nil {
			return nil, fmt.Errorf("asking for the libraries of %s: %w", program.Name, err)
		}
		for word := range strings.FieldsSeq(string(out)) {
			if strings.HasPrefix(word, "/") && !libraries[word] {
				libraries[word] = true
				copies = append(copies, testimage.File{Name: word, Mode: 0o755})
			}
		}
	}
	for _, file := range copies {
		body, err := os.ReadFile(file.Name)
		if err != nil {
			return nil, err
		}
		file.Name, file.Body = strings.TrimPrefix(file.Name, "/"), string(body)
		files = append(files, file)
	}
	return files, nil
}

// fileCapability is the attribute security.capability of a file with one capability, permitted and effective.
func fileCapability(bit int) string {
	return string([]byte{1, 0, 0, 2, 1 << bit, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
}
