// This file owns the way from the edits of a CDI spec to those of a sandbox. A spec is a file that somebody else wrote: what no
// device needs is refused.

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
	"time"

	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// apply takes all edits of one device, or of one spec. What cannot be had in a user namespace is left out with a notice.
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
	// Additional groups are for the nodes. Their numbers mean the same in namespaces of root only; what counts for others is whether they may
	// open the nodes (access.go).
	for _, g := range e.AdditionalGIDs {
		if g != 0 && host.OwnerOutside() == 0 && !slices.Contains(in.edits.Groups, int(g)) {
			in.edits.Groups = append(in.edits.Groups, int(g))
		}
	}
	if e.IntelRdt != nil || len(e.NetDevices) > 0 {
		in.notice("cache allocation and network devices of CDI specs are left out: they need the host's root")
	}
	return nil
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
	in.access(host, st)
	in.edits.Mounts = slices.DeleteFunc(in.edits.Mounts, func(m runtime.DeviceMount) bool { return m.Target == n.Path })
	in.edits.Devices = slices.DeleteFunc(in.edits.Devices, func(d runtime.DeviceNode) bool { return d.Target == n.Path })
	in.edits.Devices = append(in.edits.Devices, runtime.DeviceNode{Source: host, Target: n.Path})
	return nil
}

// mount takes a mount, with the options that it may have: always nosuid and nodev, never idmap, which a rootless
// runtime cannot do.
func (in *injection) mount(m *specs.Mount, nvidia bool) error {
	if err := errors.Join(checkTarget(m.ContainerPath), checkSource(m.HostPath)); err != nil {
		return err
	}
	if nvidia && !in.wants(path.Clean(m.ContainerPath)) {
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
	in.edits.Mounts = slices.DeleteFunc(in.edits.Mounts, func(o runtime.DeviceMount) bool { return o.Target == target })
	in.edits.Mounts = append(in.edits.Mounts, runtime.DeviceMount{Source: m.HostPath, Target: target, Type: "bind", Options: mountOptions(m.Options)})
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

// allowedMountOptions are those that take nothing away from the sandbox.
var allowedMountOptions = []string{"ro", "rw", "bind", "rbind", "private", "rprivate", "slave", "rslave", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime"}

// mountOptions keeps the options that a device may have, each once.
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

// finish orders the mounts, so that none covers one that is below it.
func (in *injection) finish() {
	slices.SortStableFunc(in.edits.Mounts, func(a, b runtime.DeviceMount) int {
		return strings.Count(a.Target, "/") - strings.Count(b.Target, "/")
	})
	in.finishNVIDIA()
}

// hook takes a hook: NVIDIA's own are turned into data, others stay programs.
func (in *injection) hook(h *specs.Hook) error {
	if name, flags, ok := nvidiaCall(h); ok {
		return in.nvidiaHook(name, flags)
	}
	if h.HookName == "startContainer" {
		// Its path is one of the container, where it runs with the container's own rights.
		if err := checkPath(h.Path); err != nil {
			return fmt.Errorf("hook: %w", err)
		}
	} else if err := in.checkHook(h.Path); err != nil {
		return err
	}
	if in.options.Layerless {
		in.notice("the hook %s may write into the layer of this step", h.Path)
	}
	d := runtime.DeviceHook{When: h.HookName, Path: h.Path, Args: h.Args, Env: h.Env}
	if len(d.Env) == 0 {
		// Not nil: a runtime gives such hooks the image's environment, and with it LD_PRELOAD (CVE-2025-23266).
		d.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	}
	if h.Timeout != nil {
		d.Timeout = time.Duration(*h.Timeout) * time.Second
	}
	in.edits.Hooks = append(in.edits.Hooks, d)
	return nil
}

// checkHook holds a program that a spec names against the directories where vendors install theirs.
func (in *injection) checkHook(p string) error {
	if err := checkPath(p); err != nil {
		return fmt.Errorf("hook: %w", err)
	}
	resolved, err := filepath.EvalSymlinks(p)
	if err != nil {
		return &Error{fmt.Sprintf("hook %s of the CDI spec cannot be run: %v", p, errors.Unwrap(err)), "install the vendor's container tools, or write the spec again"}
	}
	st, err := os.Stat(resolved)
	if err != nil {
		return fmt.Errorf("reading hook: %w", err)
	}
	inside := slices.ContainsFunc(in.hookDirs, func(d string) bool {
		dir, err := filepath.EvalSymlinks(d)
		return err == nil && strings.HasPrefix(resolved, strings.TrimSuffix(dir, "/")+"/")
	})
	if !inside {
		return &Error{fmt.Sprintf("hook %s of the CDI spec is outside the directories of hooks (%s)", p, strings.Join(in.hookDirs, ", ")),
			"install it there: a hook runs with the rights of the sandbox"}
	}
	if !st.Mode().IsRegular() || st.Mode().Perm()&0o111 == 0 || st.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("hook %s of the CDI spec is not a program that only its owner can write", p)
	}
	return nil
}
