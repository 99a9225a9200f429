// This file owns gbuild in a container, as CI starts kaniko: an image that is gbuild's own, with the rights that an Engine gives by default.

package testkaniko

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/gbuild/gbuild/internal/testengine"
	"github.com/gbuild/gbuild/internal/testimage"
)

// inImage are the lines that are given to gbuild in a container, too: those that mean something only there, and one for each kind of
// context, result and error.
var inImage = []string{
	"default-context", "default-context-file", "project", "two-tags", "cache", "archive", "digest-file", "login", "wrong-password", "stages", "hurried",
	"one-snapshot", "ignored-paths", "var-run", "certificate", "stdin", "sub-path-of-directory", "failing-run", "no-such-target", "push-refused",
}

// ownEngine is the daemon that TestMain ends.
var ownEngine testengine.Engine

func TestMain(m *testing.M) {
	code := m.Run()
	ownEngine.Stop()
	os.Exit(code)
}

func TestLinesInOwnImage(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the Docker Engine belongs to root")
	}
	if err := ownEngine.Reach(); err != nil {
		t.Skip(err)
	}
	tag := ownImage(t, release(t))
	var known recorded
	readJSON(t, "recorded.json", &known)
	for _, l := range readLines(t) {
		if slices.Contains(inImage, l.Name) {
			t.Run(l.Name, func(t *testing.T) {
				got := hold(t, l, known.Lines[l.Name], func(w *world, args []string, env map[string]string) *exec.Cmd {
					return inContainer(w, l, tag, args, env)
				})
				if l.Name == "stages" && !strings.Contains(got.said, "isolation inplace: ") {
					t.Errorf("it is not in place:\n%s", got.said)
				}
			})
		}
	}
}

// ownImage makes an image that says of itself that it is gbuild's, and has what pipelines call.
func ownImage(t *testing.T, binary string) (tag string) {
	t.Helper()
	body, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	img, err := testimage.Append(empty.Image, testimage.File{Name: "kaniko/executor", Mode: 0o755, Body: string(body)}, testimage.File{Name: ".gbuild/image", Body: "/kaniko\n"})
	if err != nil {
		t.Fatal(err)
	}
	tag = fmt.Sprintf("gbuild-kaniko/own:%d", os.Getpid())
	load := exec.Command("docker", "import", "--change", `ENTRYPOINT ["/kaniko/executor"]`, "--change", "ENV HOME=/root GBUILD_ROOT=/.gbuild/state", "-", tag)
	files := mutate.Extract(img)
	defer files.Close()
	load.Stdin = files
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "--force", tag).Run() })
	return tag
}
