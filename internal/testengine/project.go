// This file owns the images of the project, as the Dockerfile of the project makes them, for the Engine.

package testengine

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/gbuild/gbuild/internal/testimage"
)

// Project builds the images of the project with its own binary.
type Project struct {
	root, cache, work string
	binary            string // the release binary
}

// NewProject makes the release binary of the project at root, as seen from the test, in a directory for the time of the
// tests. What takes long to make is kept in another one between runs.
func NewProject(ctx context.Context, root, cache, work string) (Project, error) {
	p := Project{root: root, cache: cache, work: work, binary: filepath.Join(work, "compiled/src/gbuild")}
	if out, err := exec.CommandContext(ctx, "make", "--no-print-directory", "-C", root, "build", "BINARY="+p.binary).CombinedOutput(); err != nil {
		return p, fmt.Errorf("building the release binary: %w\n%s", err, out)
	}
	return p, nil
}

// Image builds a target of the Dockerfile and gives it to the Engine under a name, which the caller removes. Only the stage
// that compiles is left out: it has the binary. All files of the image, as a tar, are in the file that is returned.
func (p Project) Image(ctx context.Context, target, name string) (tar string, err error) {
	base, err := testimage.PythonLayout(ctx, p.cache)
	if err != nil {
		return "", err
	}
	at := func(name string) string { return filepath.Join(p.work, name) }
	image, tar := at(target+".image.tar"), at(target+".tar")
	build := exec.CommandContext(ctx, p.binary, "--root", at("state"), "--cache-dir", at("caches"), "build", "--progress", "plain", "--target", target,
		"--build-context", "build="+at("compiled"), "--build-arg", "DEBIAN_IMAGE=debian", "--build-context", "debian=oci-layout://"+base,
		"-t", name, "-o", "type=docker,dest="+image, "-o", "type=tar,dest="+tar, p.root)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the image: %w\n%s", err, out)
	}
	if out, err := exec.CommandContext(ctx, "docker", "load", "--input", image).CombinedOutput(); err != nil {
		return "", fmt.Errorf("loading the image: %w\n%s", err, out)
	}
	return tar, nil
}
