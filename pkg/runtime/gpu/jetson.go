// This file owns Jetson: NVIDIA's boards whose GPU is a part of the processor. What a container gets there is written in tables of the
// board's system, a line for each file: the kind of file, a comma and its path.

package gpu

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

const (
	jetsonTables  = "/etc/nvidia-container-runtime/host-files-for-container.d"
	jetsonRelease = "/etc/nv_tegra_release"
)

// jetsonBase are the tables for every container; the others are for images that ask for all.
var jetsonBase = []string{"devices.csv", "drivers.csv", "l4t.csv"}

// isJetson says whether the GPU of this host is a Jetson's, and no other one is there.
func (h view) isJetson() bool {
	if !exists(h.path(jetsonRelease)) && !strings.HasPrefix(strings.ToLower(h.read("/sys/devices/soc0/family")), "tegra") {
		return false
	}
	others, _ := os.ReadDir(h.path("/proc/driver/nvidia/gpus"))
	return len(others) == 0
}

// jetson describes the driver of a Jetson.
func (h view) jetson() (*Driver, error) {
	if len(h.jetsonLines(false)) == 0 {
		return nil, &host.Missing{What: "this is a Jetson, and no table says which of its files a container needs (no devices.csv or drivers.csv in " + jetsonTables + ")",
			Remedy: "install JetPack's container runtime, or write a CDI spec: `nvidia-ctk cdi generate --output=$HOME/.config/cdi/nvidia.yaml`"}
	}
	return &Driver{Platform: "Jetson", host: h}, nil
}

// jetsonLine is a line of a table.
type jetsonLine struct{ kind, path string }

// jetsonLines reads the tables for every container, or all. Lines that cannot be read are passed over, as NVIDIA does.
func (h view) jetsonLines(all bool) []jetsonLine {
	var out []jetsonLine
	for _, name := range named(h.path(jetsonTables), "*.csv") {
		if !all && !slices.Contains(jetsonBase, name) {
			continue
		}
		for line := range strings.Lines(h.read(jetsonTables + "/" + name)) {
			kind, file, _ := strings.Cut(line, ",")
			l := jetsonLine{strings.TrimSpace(kind), strings.TrimSpace(file)}
			if slices.Contains([]string{"dev", "dir", "lib", "sym"}, l.kind) && path.IsAbs(l.path) {
				out = append(out, l)
			}
		}
	}
	return out
}

// jetsonTable is what tables come to: nodes, files and links.
type jetsonTable struct {
	root  string // the directory that stands for /
	nodes []string
	files []driverFile
	links []string
	dirs  []string // of libraries
}

// jetsonTable looks up what the tables name. What is not there is left out: the tables are those of all boards.
func (h view) jetsonTable(all bool) *jetsonTable {
	t := &jetsonTable{root: strings.TrimSuffix(h.path("/"), "/")}
	for _, l := range h.jetsonLines(all) {
		found, _ := filepath.Glob(t.root + path.Clean(l.path))
		for _, f := range found {
			t.take(h, l.kind, f)
		}
	}
	if f := t.root + jetsonRelease; exists(f) {
		t.file(f)
	}
	return t
}

// take takes one thing that a line names.
func (t *jetsonTable) take(h view, kind, file string) {
	st, err := os.Stat(file)
	if err != nil {
		return
	}
	at := strings.TrimPrefix(file, t.root)
	switch {
	case kind == "dev":
		if h.isDevice(at) && !slices.Contains(t.nodes, at) {
			t.nodes = append(t.nodes, at)
		}
	case kind == "dir" && st.IsDir():
		t.file(file)
	case kind == "sym" && st.Mode().IsRegular():
		t.chain(file)
		t.resolved(file)
	case kind == "lib" && st.Mode().IsRegular():
		t.library(t.resolved(file))
	}
}

// file takes a file where it is, once.
func (t *jetsonTable) file(file string) {
	if f := (driverFile{host: file, container: strings.TrimPrefix(file, t.root)}); !slices.Contains(t.files, f) {
		t.files = append(t.files, f)
	}
}

// resolved takes the file that links lead to.
func (t *jetsonTable) resolved(file string) string {
	to, err := filepath.EvalSymlinks(file)
	if err != nil || !strings.HasPrefix(to, t.root+"/") {
		return file
	}
	t.file(to)
	return to
}

// chain takes the links that lead from one name to a file.
func (t *jetsonTable) chain(file string) {
	for range 40 {
		to, err := os.Readlink(file)
		if err != nil {
			return
		}
		t.link(to, file)
		if file = to; !path.IsAbs(to) {
			file = path.Join(path.Dir(strings.TrimPrefix(t.links[len(t.links)-1], to+"::")), to)
		}
		file = t.root + strings.TrimPrefix(file, t.root)
	}
}

// link takes a link, once.
func (t *jetsonTable) link(target, at string) {
	if l := target + "::" + strings.TrimPrefix(at, t.root); !slices.Contains(t.links, l) {
		t.links = append(t.links, l)
	}
}

// library takes the links to a library that the host has, and its directory.
func (t *jetsonTable) library(file string) {
	dir, base := path.Split(file)
	name, _, ok := strings.Cut(base, ".so")
	if !ok || !strings.HasPrefix(base, "lib") {
		return
	}
	if d := strings.TrimSuffix(strings.TrimPrefix(dir, t.root), "/"); !slices.Contains(t.dirs, d) {
		t.dirs = append(t.dirs, d)
	}
	if strings.Count(base, ".") < 2 {
		return
	}
	soname, _ := readLibrary(file)
	if soname != "" && soname != base && isLink(dir+soname) {
		t.link(base, dir+soname)
	}
	if plain := name + ".so"; name == "libcuda" || isLink(dir+plain) {
		to, err := os.Readlink(dir + plain)
		if err != nil {
			to = soname
		}
		t.link(to, dir+plain)
	}
}

// edits are the files and links as edits.
func (t *jetsonTable) edits() specs.ContainerEdits {
	return specs.ContainerEdits{Env: []string{visibleVoid}, Mounts: fileMounts(t.files), Hooks: []*specs.Hook{
		nvidiaHookCall("create-symlinks", "--link", t.links), nvidiaHookCall("update-ldcache", "--folder", t.dirs)}}
}

// jetsonSpec describes the board as a CDI spec. Its one GPU has two names.
func (d *Driver) jetsonSpec() *specs.Spec {
	t := d.host.jetsonTable(false)
	nodes := d.nodes(t.nodes)
	return &specs.Spec{Kind: nvidiaKind, ContainerEdits: t.edits(), Devices: []specs.Device{{Name: "0", ContainerEdits: nodes}, {Name: "all", ContainerEdits: nodes}}}
}

// jetsonAll are the edits of all tables, for images that ask for them.
func (h view) jetsonAll() *specs.ContainerEdits {
	t := h.jetsonTable(true)
	e, nodes := t.edits(), (&Driver{host: h}).nodes(t.nodes)
	e.DeviceNodes = nodes.DeviceNodes
	return &e
}
