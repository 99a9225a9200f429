package gpu

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/gbuild/gbuild/pkg/runtime"
)

// InjectOptions say into what devices go.
type InjectOptions struct {
	Env          []string // the container's environment so far, KEY=VALUE
	Capabilities string   // NVIDIA_DRIVER_CAPABILITIES of the request; "" takes Env's
	Layerless    bool     // for a RUN: nothing of the driver may stay in the root file system
}

// injection is one call of Inject.
type injection struct {
	InjectOptions
	runtime.Edits
	caps     driverCaps
	hookDirs []string
}

// Inject gives the edits of the named devices. A name that no spec has, and a spec that asks for something that no
// device needs (a mount of /, a path with "..", a hook outside the hook directories), are errors.
func (c *Catalog) Inject(names []string, o InjectOptions) (runtime.Edits, error) {
	in := &injection{InjectOptions: o, hookDirs: c.hookDirs}
	asked := o.Capabilities
	if asked == "" {
		asked, _ = lastEnv(o.Env, "NVIDIA_DRIVER_CAPABILITIES")
	}
	var err error
	if in.caps, err = parseDriverCaps(asked); err != nil {
		return runtime.Edits{}, err
	}
	if err := c.check(names); err != nil {
		return runtime.Edits{}, err
	}
	done := map[*cdiSpec]bool{}
	for _, n := range names {
		d := c.devices[n]
		all := []*specs.ContainerEdits{&d.edits}
		if !done[d.spec] {
			done[d.spec] = true
			all = []*specs.ContainerEdits{&d.spec.ContainerEdits, &d.edits}
		}
		for _, e := range all {
			if err := in.apply(e, strings.HasPrefix(d.spec.Kind, "nvidia.com/")); err != nil {
				return runtime.Edits{}, fmt.Errorf("injecting %s of %s: %w", n, d.spec.file, err)
			}
		}
	}
	in.finish()
	return in.Edits, nil
}

func (c *Catalog) check(names []string) error {
	var unknown []string
	for _, n := range names {
		if _, ok := c.devices[n]; !ok {
			unknown = append(unknown, n)
		}
	}
	if unknown == nil {
		return nil
	}
	if strings.HasPrefix(unknown[0], nvidiaKind) && c.noDriver != nil {
		return c.noDriver
	}
	err := unknownDevices(unknown, c.Names())
	if gpu, ok := errors.AsType[*Error](err); ok && len(c.Errors) > 0 {
		// The device may well be in the spec that could not be read.
		gpu.Remedy += "; " + c.Errors[0].Error()
	}
	return err
}

func (in *injection) notice(format string, args ...any) {
	if n := fmt.Sprintf(format, args...); !slices.Contains(in.Notices, n) {
		in.Notices = append(in.Notices, n)
	}
}

func (in *injection) apply(e *specs.ContainerEdits, nvidia bool) error {
	for _, v := range e.Env {
		in.setEnv(v)
	}
	for _, n := range e.DeviceNodes {
		if err := in.device(n); err != nil {
			return err
		}
	}
	for _, m := range e.Mounts {
		if err := in.mount(m, nvidia); err != nil {
			return err
		}
	}
	for _, h := range e.Hooks {
		if err := in.hook(h); err != nil {
			return err
		}
	}
	if len(e.AdditionalGIDs) > 0 {
		// In a user namespace the number would mean another group of the host.
		in.notice("additional groups %v of the device are left out: a group of the host has no meaning in a user namespace", e.AdditionalGIDs)
	}
	if e.IntelRdt != nil || len(e.NetDevices) > 0 {
		in.notice("cache allocation and network devices of CDI specs are left out: they need the host's root")
	}
	return nil
}

func (in *injection) setEnv(v string) {
	key, _, _ := strings.Cut(v, "=")
	in.Edits.Env = slices.DeleteFunc(in.Edits.Env, func(o string) bool { return strings.HasPrefix(o, key+"=") })
	in.Edits.Env = append(in.Edits.Env, v)
}

// device takes a node.
func (in *injection) device(n *specs.DeviceNode) error {
	host := hostPath(n)
	if err := errors.Join(checkTarget(n.Path), checkSource(host)); err != nil {
		return err
	}
	st, err := os.Stat(host)
	if errors.Is(err, fs.ErrNotExist) && optionalNode(n.Path) {
		in.notice("%s is not on this host and is left out", host)
		return nil
	}
	if err != nil {
		return &Error{fmt.Sprintf("device node %s cannot be used: %v", host, errors.Unwrap(err)), "the driver may not be loaded, or the CDI spec is of another machine"}
	}
	kind := map[fs.FileMode]string{fs.ModeDevice | fs.ModeCharDevice: "c", fs.ModeDevice: "b", fs.ModeNamedPipe: "p"}[st.Mode().Type()]
	if kind == "" || n.Type != "" && n.Type != kind && (n.Type != "u" || kind != "c") {
		return fmt.Errorf("%s is not a device node of type %q", host, cmp.Or(n.Type, "c, b or p"))
	}
	in.Mounts = slices.DeleteFunc(in.Mounts, func(m runtime.DeviceMount) bool { return m.Target == n.Path })
	in.Devices = slices.DeleteFunc(in.Devices, func(d runtime.DeviceNode) bool { return d.Target == n.Path })
	in.Devices = append(in.Devices, runtime.DeviceNode{Source: host, Target: n.Path})
	return nil
}

// mount takes a mount, with the options that it may have: always nosuid and nodev, never idmap, which a rootless
// runtime cannot do.
func (in *injection) mount(m *specs.Mount, nvidia bool) error {
	if err := errors.Join(checkTarget(m.ContainerPath), checkSource(m.HostPath)); err != nil {
		return err
	}
	if nvidia && fileCaps(m.ContainerPath)&in.caps == 0 {
		return nil
	}
	if m.Type != "" && m.Type != "bind" && m.Type != "none" {
		return fmt.Errorf("mount of %s: type %q is not for devices", m.ContainerPath, m.Type)
	}
	if !exists(m.HostPath) {
		if !optionalMount(m.HostPath) {
			return &Error{m.HostPath + " of the CDI spec does not exist", "the driver may have been updated: write the spec again"}
		}
		in.notice("%s is not on this host and is left out", m.HostPath)
		return nil
	}
	target := path.Clean(m.ContainerPath)
	if nvidia {
		if target = in.place(target, m.HostPath); target == "" {
			return nil
		}
	}
	in.Mounts = slices.DeleteFunc(in.Mounts, func(o runtime.DeviceMount) bool { return o.Target == target })
	in.Mounts = append(in.Mounts, runtime.DeviceMount{Source: m.HostPath, Target: target, Type: "bind", Options: mountOptions(m.Options)})
	return nil
}

// optionalMount says whether a file comes and goes with a daemon or belongs to drawing.
func optionalMount(p string) bool {
	for _, d := range []string{"/run/", "/var/run/", "/tmp/nvidia-mps", "/lib/firmware/", "/usr/lib/firmware/"} {
		if strings.HasPrefix(p, d) {
			return true
		}
	}
	return path.Ext(p) == ".json"
}

var allowedMountOptions = []string{"ro", "rw", "bind", "rbind", "private", "rprivate", "slave", "rslave", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime"}

func mountOptions(options []string) []string {
	var out []string
	for _, o := range slices.Concat(options, []string{"nosuid", "nodev"}) {
		if slices.Contains(allowedMountOptions, o) && !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	if !slices.Contains(out, "bind") && !slices.Contains(out, "rbind") {
		out = append([]string{"rbind"}, out...)
	}
	return out
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

func checkSource(p string) error {
	if err := checkPath(p); err != nil {
		return err
	}
	if p, err := filepath.EvalSymlinks(p); err == nil && p == "/" || path.Clean(p) == "/" {
		return errors.New("the host's root directory is no device")
	}
	return nil
}

func checkPath(p string) error {
	if !path.IsAbs(p) || slices.Contains(strings.Split(p, "/"), "..") || strings.ContainsRune(p, 0) || len(p) >= unix.PathMax {
		return fmt.Errorf("path %.80q is not an absolute path without \"..\"", p)
	}
	return nil
}

func statOf(st fs.FileInfo) (unix.Stat_t, bool) {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return unix.Stat_t{}, false
	}
	return unix.Stat_t{Uid: s.Uid, Gid: s.Gid, Mode: s.Mode, Rdev: s.Rdev}, true
}

func (in *injection) finish() {
	slices.SortStableFunc(in.Mounts, func(a, b runtime.DeviceMount) int {
		return strings.Count(a.Target, "/") - strings.Count(b.Target, "/")
	})
	in.finishNVIDIA()
}
