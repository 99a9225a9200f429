// This file owns what an injection gathers, and which paths a spec may name. inject.go fills it from any spec, nvidia.go from
// NVIDIA's.

package gpu

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/rootedit"
)

// InjectOptions say what the devices are injected into.
type InjectOptions struct {
	Env          []string // the container's environment so far, KEY=VALUE
	Capabilities string   // NVIDIA_DRIVER_CAPABILITIES of the request; "" takes Env's
	Privileged   bool     // the container may do what root may
	Layerless    bool     // nothing of the driver may stay in the root file system: it is that of a RUN
}

// injection is one call of Inject.
type injection struct {
	options  InjectOptions
	edits    runtime.Edits // the edits gathered so far
	caps     driverCaps    // the uses that the container makes of the driver
	profile  bool          // the driver is told which GPUs there are for drawing
	compat32 bool          // libraries for programs with 32 bits are among the edits
	hookDirs []string
	complete bool // the spec at hand was made here, and has all links to libraries
}

// notice says what is left out, once.
func (in *injection) notice(format string, args ...any) {
	if n := fmt.Sprintf(format, args...); !slices.Contains(in.edits.Notices, n) {
		in.edits.Notices = append(in.edits.Notices, n)
	}
}

// setEnv takes a variable; the last one of a name counts.
func (in *injection) setEnv(v string) {
	key, _, _ := strings.Cut(v, "=")
	in.edits.Env = slices.DeleteFunc(in.edits.Env, func(o string) bool { return strings.HasPrefix(o, key+"=") })
	in.edits.Env = append(in.edits.Env, v)
}

// appendPath adds a directory to a list of them in a variable; unset is what a variable without a value means.
func (in *injection) appendPath(key, unset, dir string) {
	have, _ := lastEnv(slices.Concat(in.options.Env, in.edits.Env), key)
	have = cmp.Or(have, unset)
	if !slices.Contains(strings.Split(have, ":"), dir) {
		in.setEnv(key + "=" + strings.TrimPrefix(have+":"+dir, ":"))
	}
}

// link asks for a symbolic link; the last one of a path counts.
func (in *injection) link(target, p string) {
	in.edits.Root.Links = slices.DeleteFunc(in.edits.Root.Links, func(l rootedit.Link) bool { return l.Path == p })
	in.edits.Root.Links = append(in.edits.Root.Links, rootedit.Link{Target: target, Path: p})
}

// checkTarget refuses paths in the container that no device needs.
func checkTarget(p string) error {
	if err := checkPath(p); err != nil {
		return err
	}
	p = path.Clean(p)
	for _, d := range []string{"/proc", "/sys"} {
		if p == d || strings.HasPrefix(p, d+"/") {
			return fmt.Errorf("path %q in the container is the kernel's", p)
		}
	}
	if p == "/" || p == "/dev" {
		return fmt.Errorf("path %q in the container is the sandbox's own", p)
	}
	return nil
}

// checkSource refuses paths of the host that are no device's: the whole of it, above all.
func checkSource(p string) error {
	if err := checkPath(p); err != nil {
		return err
	}
	if p, err := filepath.EvalSymlinks(p); err == nil && p == "/" || path.Clean(p) == "/" {
		return errors.New("the host's root directory is no device")
	}
	return nil
}

// checkPath refuses what is no plain absolute path.
func checkPath(p string) error {
	if !path.IsAbs(p) || slices.Contains(strings.Split(p, "/"), "..") || strings.ContainsRune(p, 0) || len(p) >= unix.PathMax {
		return fmt.Errorf("path %.80q is not an absolute path without \"..\"", p)
	}
	return nil
}
