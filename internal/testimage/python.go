// This file owns a base with Python, which mmdebstrap makes once.

package testimage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"
)

// Python returns the image of PythonLayout.
func Python(ctx context.Context, dir string) (v1.Image, error) {
	path, err := PythonLayout(ctx, dir)
	if err != nil {
		return nil, err
	}
	return openLayout(path)
}

// PythonLayout returns the path of an OCI layout with a Debian root of this machine's release with python3, python3-pip and
// ca-certificates. mmdebstrap makes it from Debian's mirror, which takes a minute; it is kept in dir for the next time, and
// made once for all processes that ask. pip may install into the system there, as in the images of PyTorch and CUDA.
func PythonLayout(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "python-"+release()+"-"+runtime.GOARCH)
	if _, err := openLayout(path); err == nil {
		return path, nil
	}
	held, err := os.OpenFile(filepath.Join(dir, "python.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("making the Python base: %w", err)
	}
	defer held.Close()
	if err := unix.Flock(int(held.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("waiting for the Python base: %w", err)
	}
	if _, err := openLayout(path); err == nil {
		return path, nil
	}
	return path, makePython(ctx, dir, path)
}

// makePython makes the layout beside its place, and renames it: another process never sees half of one.
func makePython(ctx context.Context, dir, path string) error {
	work, err := os.MkdirTemp(dir, ".python-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	root := filepath.Join(work, "root.tar")
	if err := debootstrap(ctx, root, "python3,python3-pip,ca-certificates"); err != nil {
		return err
	}
	if err := writeLayout(filepath.Join(work, "layout"), root); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(work, "layout"), path); err != nil {
		return fmt.Errorf("keeping the Python base: %w", err)
	}
	return nil
}

// debootstrap writes a small Debian root with packages as a tar. Manuals and translations are left out.
func debootstrap(ctx context.Context, tar, packages string) error {
	cmd := exec.CommandContext(ctx, "mmdebstrap", "--quiet", "--variant=apt", "--include="+packages,
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		"--dpkgopt=path-exclude=/usr/share/doc/*",
		`--customize-hook=rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED`,
		release(), tar)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+fmt.Sprint(Time.Unix()))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running mmdebstrap: %w\n%s", err, out)
	}
	return nil
}

// release is the code name of this machine's Debian.
func release() string {
	f, err := os.Open("/etc/os-release")
	if err != nil {
		return "stable"
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		if name, ok := strings.CutPrefix(in.Text(), "VERSION_CODENAME="); ok {
			return strings.Trim(name, `"`)
		}
	}
	return "stable"
}

// writeLayout makes an image of the root, and writes it as an OCI layout.
func writeLayout(dir, root string) error {
	base, err := scratch(runtime.GOARCH, v1.Config{Env: []string{Path}, Cmd: []string{"bash"}})
	if err != nil {
		return err
	}
	layer, err := tarball.LayerFromFile(root, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return fmt.Errorf("reading the root that mmdebstrap made: %w", err)
	}
	img, err := mutate.Append(base, mutate.Addendum{Layer: layer, MediaType: types.OCILayer,
		History: v1.History{Created: v1.Time{Time: Time}, CreatedBy: "mmdebstrap"}})
	if err != nil {
		return err
	}
	return WriteLayout(dir, img)
}

// WriteLayout writes img as an OCI layout directory.
func WriteLayout(dir string, img v1.Image) error {
	index, err := layout.Write(dir, mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	if err != nil {
		return fmt.Errorf("writing layout %s: %w", dir, err)
	}
	if err := index.AppendImage(img); err != nil {
		return err
	}
	return readable(dir)
}

// readable lets others read the blobs: the tests run as two users, and ggcr leaves some for one.
func readable(dir string) error {
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "*", "*"))
	for _, blob := range blobs {
		err = errors.Join(err, os.Chmod(blob, 0o644))
	}
	return err
}

// openLayout reads the image that is there from an earlier time.
func openLayout(dir string) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Manifests) != 1 {
		return nil, fmt.Errorf("layout %s has %d images", dir, len(manifest.Manifests))
	}
	return index.Image(manifest.Manifests[0].Digest)
}
