// This file owns what a container gets besides GPUs where its environment asks for it: nodes for storage, networks and switches beside GPUs
// (NVIDIA_GDS and its like), channels between machines (NVIDIA_IMEX_CHANNELS), and the rights to divide GPUs (NVIDIA_MIG_CONFIG_DEVICES).

package gpu

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "tags.cncf.io/container-device-interface/specs-go"
)

// features are variables that ask for nodes by the value "enabled", with files that those need.
var features = []struct {
	variable     string
	nodes, files []string
}{
	{"NVIDIA_GDS", []string{"/dev/nvidia-fs*"}, []string{"/run/udev", "/etc/cufile.json"}},
	{"NVIDIA_MOFED", []string{"/dev/infiniband/uverbs*", "/dev/infiniband/rdma_cm"}, nil},
	{"NVIDIA_GDRCOPY", []string{"/dev/gdrdrv"}, nil},
	{"NVIDIA_NVSWITCH", []string{"/dev/nvidia-nvswitchctl", "/dev/nvidia-nvswitch*"}, nil},
}

// asked gathers what an environment asks for.
type asked struct {
	host    view
	env     []string
	edits   specs.ContainerEdits
	notices []string // what is not there
	divides bool     // GPUs are to be divided, or all divisions are to be seen
}

// askedFor finds what the environment of a container asks for. What it may not have is an error.
func (h view) askedFor(env []string, privileged bool) (*asked, error) {
	a := &asked{host: h, env: env}
	for _, f := range features {
		if v, _ := lastEnv(env, f.variable); v == "enabled" {
			a.feature(f.variable+"=enabled", f.nodes, f.files)
		}
	}
	if err := a.channels(); err != nil {
		return nil, err
	}
	return a, a.divisions(privileged)
}

// feature takes the nodes of a feature, and its files where there is one.
func (a *asked) feature(asking string, patterns, files []string) {
	var nodes []string
	for _, p := range patterns {
		for _, n := range a.host.nodesBy(p) {
			if !slices.Contains(nodes, n) {
				nodes = append(nodes, n)
			}
		}
	}
	if len(nodes) == 0 {
		a.notices = append(a.notices, fmt.Sprintf("%s is asked for, but this host has no %s", asking, strings.Join(patterns, " or ")))
		return
	}
	a.nodes(nodes)
	for _, f := range files {
		if exists(a.host.path(f)) {
			a.edits.Mounts = append(a.edits.Mounts, fileMounts([]driverFile{{host: a.host.path(f), container: f}})...)
		}
	}
}

// nodesBy lists the device nodes of a pattern.
func (h view) nodesBy(pattern string) []string {
	found, _ := filepath.Glob(h.path(pattern))
	var out []string
	for _, f := range found {
		if p := strings.TrimPrefix(f, strings.TrimSuffix(h.path("/"), "/")); h.isDevice(p) {
			out = append(out, p)
		}
	}
	return out
}

// nodes takes nodes.
func (a *asked) nodes(paths []string) {
	nodes := (&Driver{host: a.host}).nodes(paths)
	a.edits.DeviceNodes = append(a.edits.DeviceNodes, nodes.DeviceNodes...)
}

const (
	imexChannels   = "/dev/nvidia-caps-imex-channels/channel"
	maxIMEXChannel = 1<<20 - 1 // a channel's number is the minor one of a node
)

// channels takes the channels of NVIDIA_IMEX_CHANNELS: numbers, or all.
func (a *asked) channels() error {
	value, _ := lastEnv(a.env, "NVIDIA_IMEX_CHANNELS")
	for id := range strings.SplitSeq(value, ",") {
		id = strings.TrimPrefix(strings.TrimSpace(id), "channel")
		if id == "" || id == "void" || id == "none" {
			continue
		}
		if id == "all" {
			a.feature("NVIDIA_IMEX_CHANNELS=all", []string{imexChannels + "*"}, nil)
			continue
		}
		if n, err := strconv.ParseUint(id, 10, 32); err != nil || n > maxIMEXChannel {
			return &Error{fmt.Sprintf("invalid channel %q in NVIDIA_IMEX_CHANNELS=%s", id, value), "give numbers from 0 to 1048575, or all"}
		}
		if !a.host.isDevice(imexChannels + id) {
			return &Error{fmt.Sprintf("IMEX channel %s is not on this host (no %s%s)", id, imexChannels, id), "as root, run `nvidia-modprobe -i " + id + "`, or leave NVIDIA_IMEX_CHANNELS out"}
		}
		a.nodes([]string{imexChannels + id})
	}
	return nil
}

// divisions takes the nodes by which GPUs are divided and divisions are seen. Only a privileged container may have them.
func (a *asked) divisions(privileged bool) error {
	for _, capability := range []string{"config", "monitor"} {
		variable := "NVIDIA_MIG_" + strings.ToUpper(capability) + "_DEVICES"
		value, _ := lastEnv(a.env, variable)
		switch {
		case value == "":
			continue
		case !strings.EqualFold(value, "all"):
			return &Error{fmt.Sprintf("invalid %s=%s: only all is supported", variable, value), "give all, or leave it out"}
		case !privileged:
			return &Error{variable + " is for privileged containers only", "give --privileged, or leave it out"}
		}
		node := a.host.capability("/proc/driver/nvidia/capabilities/mig/"+capability, capability)
		if node == "" || !a.host.isDevice(node) {
			a.notices = append(a.notices, fmt.Sprintf("%s=%s is asked for, but no GPU of this host can be divided", variable, value))
			continue
		}
		a.divides = true
		a.nodes([]string{node})
	}
	return nil
}

// isInstance says whether a CDI name is that of an instance of a divided GPU.
func isInstance(name string) bool {
	_, device, _ := strings.Cut(name, "=")
	return strings.HasPrefix(device, "MIG-") || strings.Contains(device, ":")
}
