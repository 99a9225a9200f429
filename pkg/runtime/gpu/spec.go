// This file owns the CDI spec of this host's NVIDIA driver. Nothing is written to disk: the spec is made anew for each start, so it
// is never stale. `gbuild gpu cdi` prints it for other tools.

package gpu

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	specs "tags.cncf.io/container-device-interface/specs-go"
)

// nvidiaHook is the path under which specs name NVIDIA's hook. gbuild does its work itself, so it need not exist; the
// path is there for other runtimes that read a spec that `gbuild gpu cdi` printed.
const nvidiaHook = "/usr/bin/nvidia-cdi-hook"

// nvidiaKind is the part of a CDI name before the =.
const nvidiaKind = "nvidia.com/gpu"

// Spec describes the driver as a CDI spec: one device per GPU or MIG instance by index and by UUID, and "all".
// It is the spec that nvidia-ctk would write, made without NVML and without root. A driver whose libraries are not
// found is a *Missing.
func (d *Driver) Spec() (*specs.Spec, error) {
	libs, err := d.host.libraries(d.Version)
	if err != nil {
		return nil, err
	}
	s := &specs.Spec{Kind: nvidiaKind, Devices: d.devices(), ContainerEdits: d.common(libs)}
	if s.Version, err = specs.MinimumRequiredVersion(s); err != nil {
		return nil, fmt.Errorf("choosing the version of the CDI spec: %w", err)
	}
	return s, nil
}

// MarshalSpec writes a CDI spec as YAML.
func MarshalSpec(s *specs.Spec) ([]byte, error) {
	b, err := yaml.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("writing CDI spec: %w", err)
	}
	return b, nil
}

// node is a device node, with its path on the host where that is another one.
func (d *Driver) node(p string) *specs.DeviceNode {
	n := &specs.DeviceNode{Path: p}
	if host := d.host.node(p); host != "" && host != p {
		n.HostPath = host
	}
	return n
}

// devices are the GPUs and instances under all their names, and "all".
func (d *Driver) devices() []specs.Device {
	var out []specs.Device
	var all specs.ContainerEdits
	add := func(edits specs.ContainerEdits, names ...string) {
		for _, n := range names {
			if n != "" {
				out = append(out, specs.Device{Name: n, ContainerEdits: edits})
			}
		}
		for _, n := range edits.DeviceNodes {
			if !slices.ContainsFunc(all.DeviceNodes, func(o *specs.DeviceNode) bool { return o.Path == n.Path }) {
				all.DeviceNodes = append(all.DeviceNodes, n)
			}
		}
	}
	for _, g := range d.GPUs {
		own := []string{fmt.Sprintf("/dev/nvidia%d", g.Minor)}
		if len(g.MIG) == 0 {
			add(d.nodes(append(own, g.DRI...)), fmt.Sprint(g.Index), g.UUID)
		}
		for _, m := range g.MIG {
			// The old form MIG-GPU-…/gi/ci is no CDI name; such a device goes by its index.
			uuid := m.UUID
			if strings.Contains(uuid, "/") {
				uuid = ""
			}
			add(d.nodes(append(own, m.Capabilities...)), fmt.Sprintf("%d:%d", g.Index, m.Index), uuid)
		}
	}
	return append(out, specs.Device{Name: "all", ContainerEdits: all})
}

// nodes are edits of nothing but device nodes.
func (d *Driver) nodes(paths []string) specs.ContainerEdits {
	var e specs.ContainerEdits
	for _, p := range paths {
		e.DeviceNodes = append(e.DeviceNodes, d.node(p))
	}
	return e
}

// common is what every device brings: files, nodes, and calls of the hook.
func (d *Driver) common(l driverLibraries) specs.ContainerEdits {
	e := d.nodes(d.Nodes)
	// A container runtime inside the container must not inject the GPUs again.
	e.Env = []string{"NVIDIA_VISIBLE_DEVICES=void"}
	files := d.host.libraryFiles(l)
	for _, f := range slices.Concat(files, programFiles(l), d.host.otherFiles(l)) {
		e.Mounts = append(e.Mounts, &specs.Mount{HostPath: f.host, ContainerPath: f.container, Options: fileOptions(f)})
	}
	e.Hooks = []*specs.Hook{
		nvidiaHookCall("create-symlinks", "--link", linkArgs(files)),
		nvidiaHookCall("update-ldcache", "--folder", libraryFolders(files)),
	}
	// Forward compatibility is for data-centre GPUs; a GeForce fails with it (CUDA error 804).
	if !strings.Contains(d.models(), "GeForce") {
		compat := &specs.Hook{HookName: "createContainer", Path: nvidiaHook,
			Args: []string{path.Base(nvidiaHook), "enable-cuda-compat", "--host-driver-version=" + l.version}}
		e.Hooks = slices.Insert(e.Hooks, 1, compat)
	}
	return e
}

// models are the names of all GPUs in one text.
func (d *Driver) models() string {
	var s []string
	for _, g := range d.GPUs {
		s = append(s, g.Model)
	}
	return strings.Join(s, ",")
}

// fileOptions are those of a read-only bind; sockets cannot be executed either.
func fileOptions(f driverFile) []string {
	o := []string{"ro", "nosuid", "nodev", "rbind", "rprivate"}
	if strings.HasPrefix(f.container, "/run/") || strings.HasPrefix(f.container, "/tmp/") {
		o = append(o, "noexec")
	}
	return o
}

// nvidiaHookCall is a call of NVIDIA's hook with one flag, given once for each value.
func nvidiaHookCall(name, flag string, values []string) *specs.Hook {
	args := []string{path.Base(nvidiaHook), name}
	for _, v := range values {
		args = append(args, flag, v)
	}
	return &specs.Hook{HookName: "createContainer", Path: nvidiaHook, Args: args}
}

// linkArgs gives the links of the libraries as target::link: the SONAMEs, and the plain names that programs open.
func linkArgs(files []driverFile) []string {
	var out []string
	for _, f := range files {
		dir, base := path.Split(f.container)
		if f.soname != "" && f.soname != base {
			out = append(out, base+"::"+dir+f.soname)
		}
		switch f.soname {
		case "libcuda.so.1", "libnvidia-opticalflow.so.1", "libnvidia-encode.so.1", "libnvcuvid.so.1", "libnvidia-ml.so.1":
			out = append(out, f.soname+"::"+dir+strings.TrimSuffix(f.soname, ".1"))
		case "libGLX_nvidia.so.0":
			out = append(out, f.soname+"::"+dir+"libGLX_indirect.so.0")
		}
	}
	return out
}

// libraryFolders are the directories in which the libraries lie in a container, each once.
func libraryFolders(files []driverFile) []string {
	var out []string
	for _, f := range files {
		if d := path.Dir(f.container); !slices.Contains(out, d) && path.Base(d) != "vdpau" {
			out = append(out, d)
		}
	}
	return out
}
