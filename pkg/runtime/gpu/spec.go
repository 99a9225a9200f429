// This file owns the CDI spec of this host's NVIDIA driver. Nothing is written to disk: the spec is made anew for each start, so it
// is never stale. `gbuild gpu cdi` prints it for other tools.

package gpu

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"
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
func (d *Driver) Spec() (*specs.Spec, error) { return d.spec(false) }

// spec is Spec or, with complete, what gbuild takes itself: there all links to libraries are in it, which NVIDIA leaves to ldconfig, and
// libraries for programs with 32 bits, which NVIDIA's spec would give to every container.
func (d *Driver) spec(complete bool) (*specs.Spec, error) {
	s, err := d.parts(complete)
	if err != nil {
		return nil, err
	}
	if s.Version, err = specs.MinimumRequiredVersion(s); err != nil {
		return nil, fmt.Errorf("choosing the version of the CDI spec: %w", err)
	}
	return s, nil
}

// parts is the spec without the version of its format.
func (d *Driver) parts(complete bool) (*specs.Spec, error) {
	switch d.Platform {
	case "WSL":
		return d.wslSpec(complete), nil
	case "Jetson":
		return d.jetsonSpec(), nil
	}
	libs, err := d.host.libraries(d.Version)
	if err != nil {
		return nil, err
	}
	return &specs.Spec{Kind: nvidiaKind, Devices: d.devices(), ContainerEdits: d.common(libs, complete)}, nil
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
	all.Hooks = d.driLinks(d.GPUs...)
	for _, g := range d.GPUs {
		if g.UUID != "" && len(g.MIG) == 0 {
			all.Hooks = append(all.Hooks, d.memoryLimits(g))
		}
	}
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
		for _, g := range edits.AdditionalGIDs {
			if !slices.Contains(all.AdditionalGIDs, g) {
				all.AdditionalGIDs = append(all.AdditionalGIDs, g)
			}
		}
	}
	for _, g := range d.GPUs {
		own := []string{fmt.Sprintf("/dev/nvidia%d", g.Minor)}
		if len(g.MIG) == 0 {
			edits := d.nodes(append(own, g.DRI...))
			edits.Hooks = d.driLinks(g)
			if g.UUID != "" {
				edits.Hooks = append(edits.Hooks, d.memoryLimits(g))
			}
			add(edits, fmt.Sprint(g.Index), g.UUID)
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

// memoryLimits is the call by which NVIDIA's hook bounds the memory of a GPU, where variables of the container ask for it.
func (d *Driver) memoryLimits(g GPU) *specs.Hook {
	h := nvidiaHookCall("apply-cuda-memory-limits", "", []string{"--driver-root", cmp.Or(d.host.driverRoots()[0], "/"), "--gpu-id", g.UUID})
	h.HookName = "createRuntime"
	return h
}

// driLinks are the links by which programs find the nodes for drawing of GPUs, by their buses.
func (d *Driver) driLinks(gpus ...GPU) []*specs.Hook {
	var links []string
	for _, g := range gpus {
		for _, kind := range []string{"card", "render"} {
			link := fmt.Sprintf("/dev/dri/by-path/pci-%s-%s", g.BusID, kind)
			target, err := os.Readlink(d.host.path(link))
			if err == nil && len(g.MIG) == 0 && slices.Contains(g.DRI, path.Join(path.Dir(link), target)) {
				links = append(links, target+"::"+link)
			}
		}
	}
	if links == nil {
		return nil
	}
	return []*specs.Hook{nvidiaHookCall("create-symlinks", "--link", links)}
}

// nodes are edits of nothing but device nodes.
func (d *Driver) nodes(paths []string) specs.ContainerEdits {
	var e specs.ContainerEdits
	for _, p := range paths {
		n := d.node(p)
		e.DeviceNodes = append(e.DeviceNodes, n)
		if g := groupOf(hostPath(n)); g != 0 && !slices.Contains(e.AdditionalGIDs, g) {
			e.AdditionalGIDs = append(e.AdditionalGIDs, g)
		}
	}
	return e
}

// groupOf is the group that a node can be opened by where not everybody can, or 0. In a user namespace a group of the host is nobody's.
func groupOf(node string) uint32 {
	var st unix.Stat_t
	if unix.Stat(node, &st) != nil || st.Mode&0o006 == 0o006 || st.Gid == overflowUID {
		return 0
	}
	return st.Gid
}

// visibleVoid tells a container runtime inside the container not to inject the GPUs again.
const visibleVoid = "NVIDIA_VISIBLE_DEVICES=void"

// common is what every device brings: files, nodes, and calls of the hook.
func (d *Driver) common(l driverLibraries, complete bool) specs.ContainerEdits {
	e := d.nodes(d.Nodes)
	e.Env = []string{visibleVoid, "NVIDIA_CTK_LIBCUDA_DIR=" + path.Dir(containerLibrary(l.dir+"/libcuda.so"))}
	files, others := d.host.libraryFiles(l), d.host.otherFiles(l)
	folders := libraryFolders(files)
	if complete {
		files = append(files, compat32Files(l)...)
	}
	e.Mounts = fileMounts(files, programFiles(l), others)
	e.Hooks = []*specs.Hook{
		nvidiaHookCall("create-symlinks", "--link", linkArgs(append(files, others...), l.version, complete)),
		nvidiaHookCall("update-ldcache", "--folder", folders),
		nvidiaHookCall("disable-device-node-modification", "", nil),
		nvidiaHookCall("update-application-profile", "", nil),
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

// fileMounts binds files: read-only but for sockets, which cannot be executed in return.
func fileMounts(files ...[]driverFile) []*specs.Mount {
	var out []*specs.Mount
	for _, f := range slices.Concat(files...) {
		m := &specs.Mount{HostPath: f.host, ContainerPath: f.container, Options: []string{"ro", "nosuid", "nodev", "rbind", "rprivate"}}
		if f.writable {
			m.Options = []string{"nosuid", "nodev", "rbind", "rprivate", "noexec"}
		}
		out = append(out, m)
	}
	return out
}

// nvidiaHookCall is a call of NVIDIA's hook with one flag, given once for each value, or with values alone.
func nvidiaHookCall(name, flag string, values []string) *specs.Hook {
	args := []string{path.Base(nvidiaHook), name}
	for _, v := range values {
		if flag != "" {
			args = append(args, flag)
		}
		args = append(args, v)
	}
	return &specs.Hook{HookName: "createContainer", Path: nvidiaHook, Args: args}
}

// plainNames are libraries that programs open by a name without a version, whether the host has it or not.
var plainNames = []string{"libcuda.so", "libnvidia-opticalflow.so", "libnvidia-vulkan-producer.so", "libglxserver_nvidia.so"}

// linkArgs gives the links of the libraries as target::link: the SONAMEs and the plain names that the host has, those that programs open,
// and two names of others; with complete all SONAMEs.
func linkArgs(files []driverFile, version string, complete bool) []string {
	var out []string
	link := func(target, at string) {
		if l := target + "::" + at; path.Base(at) != target && !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	for _, f := range files {
		dir, base := path.Split(f.container)
		name, _, isLibrary := strings.Cut(base, ".so")
		if !isLibrary {
			continue
		}
		plain := name + ".so"
		own := strings.HasSuffix(base, ".so."+version)
		if f.soname != "" && (complete || f.links && own) {
			link(base, dir+f.soname)
		}
		if own && (f.plain != "" || slices.Contains(plainNames, plain)) {
			link(cmp.Or(f.soname, base), dir+plain)
		}
		switch name {
		case "libGLX_nvidia":
			link(base, dir+"libGLX_indirect.so.0")
		case "libnvidia-allocator":
			link("../libnvidia-allocator.so.1", dir+"gbm/nvidia-drm_gbm.so")
		}
	}
	return out
}

// libraryFolders are the directories in which the libraries lie in a container, each once.
func libraryFolders(files []driverFile) []string {
	var out []string
	for _, f := range files {
		if d := path.Dir(f.container); !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	return out
}
