// This file finds the NVIDIA driver, its GPUs, and the instances into which a GPU may be divided (MIG). It reads files of the kernel
// and does not use NVML: a static program cannot load a library. What only NVML knows (the UUID of an instance, at times that of a
// GPU) is asked of nvidia-smi; without it, devices are named by their indices.

package gpu

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gbuild/gbuild/internal/lazyregexp"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// Driver is the NVIDIA driver of a host and its GPUs.
type Driver struct {
	Platform string   // "WSL" or "Jetson", which have drivers of another kind; "" elsewhere
	Version  string   // such as 580.159.04; "" where neither kernel nor libraries tell
	GPUs     []GPU    // sorted by their indices
	Nodes    []string // device nodes that every container with a GPU gets
	Notices  []string // a line for each thing that is missing, with its remedy

	host  view
	store string // the directory of the driver under WSL
}

// GPU is one GPU that this host can use.
type GPU struct {
	Index int      // NVML's: the order of bus ids
	Minor int      // the N of /dev/nvidiaN, which need not be the index
	UUID  string   // "" where the driver does not tell it
	Model string   // "" where the driver does not tell it
	BusID string   // such as 0000:1b:00.0; "" where /proc does not list it
	DRI   []string // nodes under /dev/dri
	MIG   []MIG    // the instances of a partitioned GPU; then the GPU itself cannot be used
}

// MIG is one compute instance of a partitioned GPU.
type MIG struct {
	Index        int // the number within its GPU
	GI, CI       int // its GPU instance and compute instance
	UUID         string
	Capabilities []string // its nodes under /dev/nvidia-caps
}

// commonNodes are those that every container with a GPU gets where they exist.
var commonNodes = []string{"/dev/nvidia-modeset", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidiactl"}

// FindDriver looks for the driver of this host and its GPUs in /proc, /sys and /dev. A host without either is a
// *host.Missing.
func FindDriver(ctx context.Context, at Place) (*Driver, error) { return view{place: at}.driver(ctx) }

// driver is FindDriver for any host.
func (h view) driver(ctx context.Context) (*Driver, error) {
	if h.isJetson() && (len(h.jetsonLines(false)) > 0 || len(h.gpusByNode()) == 0) {
		return h.jetson()
	}
	d := &Driver{Version: h.version(), host: h}
	for _, n := range commonNodes {
		if h.isDevice(n) {
			d.Nodes = append(d.Nodes, n)
		}
	}
	d.GPUs = h.gpus()
	if len(d.GPUs) == 0 {
		if d.Version == "" && h.isDevice(wslNode) {
			return h.wsl()
		}
		return nil, h.missingDriver(d.Version)
	}
	if d.Version == "" {
		if libs, err := h.libraries(""); err == nil {
			d.Version = libs.version
		}
	}
	d.askSMI(ctx)
	if !slices.Contains(d.Nodes, "/dev/nvidia-uvm") {
		d.Notices = append(d.Notices, "/dev/nvidia-uvm is missing, so CUDA will fail with \"unknown error\": as root, run `nvidia-modprobe -u -c 0`")
	}
	if !slices.Contains(d.Nodes, "/dev/nvidiactl") {
		d.Notices = append(d.Notices, "/dev/nvidiactl is missing, so no GPU can be opened: as root, run `nvidia-modprobe`")
	}
	return d, nil
}

// missingDriver says which of the reasons for a host without a usable GPU it is.
func (h view) missingDriver(version string) error {
	if version != "" {
		return &host.Missing{What: "the NVIDIA driver " + version + " is loaded, but no GPU of it can be used here (no /dev/nvidia0)",
			Remedy: "as root, run `nvidia-smi` once to make the device nodes; in a container or pod, ask for a GPU when it is started"}
	}
	return &host.Missing{What: "this host has no NVIDIA driver (no /proc/driver/nvidia and no /dev/nvidia0)",
		Remedy: "install the driver, or run without --gpus; in a container or pod, ask for a GPU when it is started"}
}

// moduleVersion finds the version in a line about the kernel module, whose words differ between releases.
var moduleVersion = lazyregexp.New(`Kernel Module\s.*?\s([0-9]+\.[0-9.]+)\s`)

// version is that of the kernel's module, or "".
func (h view) version() string {
	if v := h.read("/sys/module/nvidia/version"); v != "" {
		return v
	}
	if m := moduleVersion().FindStringSubmatch(h.read("/proc/driver/nvidia/version") + "\n"); m != nil {
		return m[1]
	}
	return ""
}

// gpus lists the GPUs whose node is here: inside a container /proc lists those of the whole machine.
func (h view) gpus() []GPU {
	entries, _ := os.ReadDir(h.path("/proc/driver/nvidia/gpus"))
	var out []GPU
	for _, e := range entries {
		if g, ok := h.gpu(e.Name()); ok {
			out = append(out, g)
		}
	}
	if len(out) == 0 {
		out = h.gpusByNode()
	}
	slices.SortFunc(out, func(a, b GPU) int {
		return cmp.Or(slices.Compare(busNumbers(a.BusID), busNumbers(b.BusID)), a.Minor-b.Minor)
	})
	for i := range out {
		out[i].Index = i
		out[i].MIG = h.mig(out[i].Minor)
	}
	return out
}

// busNumbers makes bus ids comparable: the domain is written with 4 or with 8 digits.
func busNumbers(id string) []uint64 {
	var out []uint64
	for _, f := range strings.FieldsFunc(id, func(r rune) bool { return r == ':' || r == '.' }) {
		n, _ := strconv.ParseUint(f, 16, 64)
		out = append(out, n)
	}
	return out
}

// gpu describes one GPU of /proc; false where it cannot be used here.
func (h view) gpu(busID string) (GPU, bool) {
	file := "/proc/driver/nvidia/gpus/" + busID + "/information"
	info := parseInformation(h.read(file))
	minor, err := strconv.Atoi(info["Device Minor"])
	node := fmt.Sprintf("/dev/nvidia%d", minor)
	if err != nil || info["GPU Excluded"] == "Yes" || !h.isDevice(node) {
		return GPU{}, false
	}
	if strings.Contains(info["GPU UUID"], "?") {
		info = h.awake(node, file)
	}
	g := GPU{Minor: minor, UUID: info["GPU UUID"], Model: info["Model"], BusID: busID}
	if strings.Contains(g.UUID, "?") {
		g.UUID = ""
	}
	entries, _ := os.ReadDir(h.path("/sys/bus/pci/devices/" + busID + "/drm"))
	for _, e := range entries {
		if n := "/dev/dri/" + e.Name(); h.isDevice(n) {
			g.DRI = append(g.DRI, n)
		}
	}
	return g, true
}

// awake reads a GPU's information while its node is open: the driver learns the UUID when it initialises the GPU, and
// forgets it with the last closed node.
func (h view) awake(node, file string) map[string]string {
	for _, n := range []string{"/dev/nvidiactl", node} {
		if f, err := os.Open(h.node(n)); err == nil {
			defer f.Close()
		}
	}
	return parseInformation(h.read(file))
}

// parseInformation reads lines of KEY: VALUE, as files of the driver in /proc have them.
func parseInformation(s string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(s) {
		if k, v, ok := strings.Cut(line, ":"); ok {
			m[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	return m
}

// gpuNode is the name of a GPU's node; nvidiactl and others are none.
var gpuNode = lazyregexp.New(`^nvidia([0-9]{1,4})$`)

// gpusByNode is for kernels that show no /proc/driver/nvidia (gVisor, some pods): the nodes alone.
func (h view) gpusByNode() []GPU {
	entries, _ := os.ReadDir(h.path("/dev"))
	var out []GPU
	for _, e := range entries {
		if m := gpuNode().FindStringSubmatch(e.Name()); m != nil && h.isDevice("/dev/"+e.Name()) {
			minor, _ := strconv.Atoi(m[1])
			out = append(out, GPU{Minor: minor})
		}
	}
	return out
}

// mig lists the instances of a GPU, in the order of (GPU instance, compute instance) that NVML's indices follow.
func (h view) mig(minor int) []MIG {
	base := fmt.Sprintf("/proc/driver/nvidia/capabilities/gpu%d/mig", minor)
	found, _ := filepath.Glob(h.path(base + "/gi*/ci*/access"))
	var out []MIG
	for _, f := range found {
		var m MIG
		rel := strings.TrimPrefix(f, h.path(base)+"/")
		if _, err := fmt.Sscanf(rel, "gi%d/ci%d/access", &m.GI, &m.CI); err != nil {
			continue
		}
		gi := h.capability(fmt.Sprintf("%s/gi%d/access", base, m.GI), fmt.Sprintf("gpu%d/gi%d/access", minor, m.GI))
		ci := h.capability(base+"/"+rel, fmt.Sprintf("gpu%d/%s", minor, rel))
		// In a container /proc may list the instances of the whole machine: only those count whose nodes are here.
		if h.isDevice(gi) && h.isDevice(ci) {
			m.Capabilities = []string{gi, ci}
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b MIG) int { return cmp.Or(a.GI-b.GI, a.CI-b.CI) })
	for i := range out {
		out[i].Index = i
	}
	return out
}

// capability gives the node of one access file, or "". Where the file does not tell it, a table of the driver's does, by another name.
func (h view) capability(file, name string) string {
	minor := parseInformation(h.read(file))["DeviceFileMinor"]
	for line := range strings.Lines(h.read("/proc/driver/nvidia-caps/mig-minors")) {
		if f := strings.Fields(line); minor == "" && len(f) == 2 && f[0] == name {
			minor = f[1]
		}
	}
	if !isIndex(minor) {
		return ""
	}
	return "/dev/nvidia-caps/nvidia-cap" + minor
}

// askSMI fills in the UUIDs that only NVML knows, from nvidia-smi -L where it is installed.
func (d *Driver) askSMI(ctx context.Context) {
	if !slices.ContainsFunc(d.GPUs, func(g GPU) bool { return g.UUID == "" || g.Model == "" || len(g.MIG) > 0 }) {
		return
	}
	libs, err := d.host.libraries(d.Version)
	if err != nil {
		return
	}
	smi := program("nvidia-smi", libs)
	if smi == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, smi, "-L")
	// Nothing of our environment: a host's tool needs only its libraries.
	cmd.Env = []string{"LD_LIBRARY_PATH=" + libs.root + libs.dir}
	if out, err := cmd.Output(); err == nil {
		d.readSMI(out)
	}
}

// smiGPU and smiMIG are the lines of nvidia-smi -L.
var (
	smiGPU = lazyregexp.New(`^GPU ([0-9]+): (.*) \(UUID: (GPU-[0-9A-Za-z-]+)\)`)
	smiMIG = lazyregexp.New(`^\s+MIG .*Device\s+([0-9]+): \(UUID: (MIG-[0-9A-Za-z/-]+)\)`)
)

// readSMI takes what is not known yet. Its lines are in the order of the indices; what does not fit them is passed over.
func (d *Driver) readSMI(out []byte) {
	var g *GPU
	for line := range bytes.Lines(out) {
		if m := smiGPU().FindSubmatch(line); m != nil {
			g = nil
			if i, _ := strconv.Atoi(string(m[1])); i < len(d.GPUs) {
				g = &d.GPUs[i]
				g.Model, g.UUID = cmp.Or(g.Model, string(m[2])), cmp.Or(g.UUID, string(m[3]))
			}
		}
		if m := smiMIG().FindSubmatch(line); m != nil && g != nil {
			if i, _ := strconv.Atoi(string(m[1])); i < len(g.MIG) {
				g.MIG[i].UUID = string(m[2])
			}
		}
	}
}
