package gpu

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

const wslStore = wslStores + "/nv_dispi.inf_amd64_1111111111111111"

func newWSL(t *testing.T) *fakeRoot {
	r := newFakeRoot(t).nodes(wslNode).library(wslLibs+"/libdxcore.so", "libdxcore.so").file(wslLibs+"/libcuda.so.1.1", "loader")
	for name, soname := range map[string]string{"libcuda.so.1.1": "libcuda.so.1", "libnvidia-ml.so.1": "libnvidia-ml.so.1", "libnvidia-ml_loader.so": "libnvidia-ml.so.1",
		"libnvidia-ptxjitcompiler.so.1": "libnvidia-ptxjitcompiler.so.1", "libnvdxgdmal.so.1": "libnvdxgdmal.so.1", "libnvoptix.so.1": "libnvoptix.so.1"} {
		r.library(wslStore+"/"+name, soname)
	}
	return r.file(wslStore+"/libcuda_loader.so", "loader").file(wslStore+"/nvcubins.bin", "").file(wslStore+"/nvcuda64.dll", "").file(wslStore+"/nv_dispi.inf", "").
		script(wslStore+"/nvidia-smi", "#!/bin/sh\n")
}

func TestWSL(t *testing.T) {
	r := newWSL(t)
	c := openCatalog(context.Background(), nil, r.host(), hookDirs)
	if got := strings.Join(c.Names(), " "); got != "nvidia.com/gpu=all" || len(c.Notices) != 0 {
		t.Fatal(got, c.Notices, c.noDriver)
	}
	names, err := c.Resolve(Request{Count: -1})
	if err != nil || len(c.Notices) != 0 {
		t.Fatal(names, err, c.Notices)
	}
	e, err := c.Inject(names, InjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "inject-wsl.json", r.dir, asJSON(e))
	b, err := MarshalSpec(specOf(t, r.host()))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "wsl.yaml", r.dir, string(b))
	for _, one := range []Request{{Count: 2}, {Count: 1}, {DeviceIDs: []string{"0"}}} {
		c := openCatalog(context.Background(), nil, r.host(), hookDirs)
		if names, err := c.Resolve(one); err != nil || !slices.Equal(names, []string{"nvidia.com/gpu=all"}) || len(c.Notices) != 1 || !strings.Contains(c.Notices[0], "all of them are given") {
			t.Error(one, names, err, c.Notices)
		}
	}
	if _, err := c.Resolve(Request{DeviceIDs: []string{uuidA}}); err == nil {
		t.Error("a UUID that nobody knows is taken")
	}
}

// Windows keeps the drivers that it had: the one in use is taken or, where that cannot be told, the newest.
func TestWSLStores(t *testing.T) {
	r := newWSL(t)
	other := wslStores + "/nv_dispi.inf_amd64_0000000000000000"
	r.library(other+"/libcuda.so.1.1", "libcuda.so.1").file(other+"/libcuda_loader.so", "another loader")
	future := time.Now().Add(time.Hour)
	if err := os.Chtimes(r.dir+other+"/libcuda.so.1.1", future, future); err != nil {
		t.Fatal(err)
	}
	if d, err := r.host().driver(context.Background()); err != nil || d.store != r.dir+wslStore || len(d.Notices) != 0 {
		t.Errorf("%+v, %v", d, err)
	}
	r.file(wslLibs+"/libcuda.so.1.1", "a third loader")
	if d, err := r.host().driver(context.Background()); err != nil || d.store != r.dir+other || len(d.Notices) != 1 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestJetson(t *testing.T) {
	r, _ := hostOf(t, "jetson")
	c := openCatalog(context.Background(), nil, r.host(), hookDirs)
	if got := strings.Join(c.Names(), " "); got != "nvidia.com/gpu=0 nvidia.com/gpu=all" {
		t.Fatal(got, c.noDriver)
	}
	// What belongs to no base table comes with the variable by which images of NVIDIA's ask for all.
	r.file(jetsonTables+"/more.csv", "lib, /opt/more/libmore.so.1\ndev, /dev/more\n").library("/opt/more/libmore.so.1", "libmore.so.1").nodes("/dev/more")
	for env, want := range map[string]bool{"": false, "NVIDIA_REQUIRE_JETPACK=csv-mounts=base-only": false, "NVIDIA_REQUIRE_JETPACK=csv-mounts=all": true} {
		names, err := c.Resolve(Request{Count: 1})
		if err != nil {
			t.Fatal(err)
		}
		e, err := c.Inject(names, InjectOptions{Env: []string{env, "NVIDIA_DRIVER_CAPABILITIES=utility"}})
		if err != nil {
			t.Fatal(err)
		}
		got := asJSON(e)
		if strings.Contains(got, "libmore.so.1") != want || strings.Contains(got, `"/dev/more"`) != want || !strings.Contains(got, "libnvrm_gpu.so") || !strings.Contains(got, "/dev/nvhost-ctrl-gpu") {
			t.Errorf("%s: %s", env, got)
		}
	}
	// A board with a GPU of its own besides is a host like others.
	r.gpu("0000:1b:00.0", 7, uuidA, "NVIDIA RTX 6000 Ada").nodes("/dev/nvidia-uvm").driver(v580, debianLibs)
	if d, err := r.host().driver(context.Background()); err != nil || d.Platform != "" {
		t.Errorf("%+v, %v", d, err)
	}
	for name, file := range map[string]string{"release": "/etc/nv_tegra_release", "family": "/sys/devices/soc0/family"} {
		t.Run(name, func(t *testing.T) {
			_, err := newFakeRoot(t).file(file, "Tegra").host().driver(context.Background())
			missing, ok := errors.AsType[*host.Missing](err)
			if !ok || !strings.Contains(err.Error(), "this is a Jetson, and no table") || missing.Hint() == "" {
				t.Error(err)
			}
		})
	}
}

// A table is input: what it names lies below the root, once, and what no table may say is passed over.
func TestJetsonTable(t *testing.T) {
	r := newFakeRoot(t).file("/etc/nv_tegra_release", "R36").file(jetsonTables+"/l4t.csv",
		"lib, /lib/a.so\nlib,/lib/a.so\n lib , /lib/a.so \nlib, lib/relative\nlib\n,\nnode, /dev/null\ndir, /lib/a.so\nlib, /dir\nsym, /lib/loop\nsym, /lib/gone\ndev, /lib/a.so\nlib, /lib/[\n").
		file("/lib/a.so", "").file("/dir/x", "").link("loop", "/lib/loop").link("nothing", "/lib/gone")
	table := r.host().jetsonTable(false)
	if len(table.files) != 2 || table.files[0].container != "/lib/a.so" || len(table.nodes)+len(table.links)+len(table.dirs) != 0 {
		t.Errorf("%+v", table)
	}
}

func TestFeatures(t *testing.T) {
	r := newFakeRoot(t).nodes("/dev/nvidia-fs0", "/dev/nvidia-fs1", "/dev/infiniband/uverbs0", "/dev/infiniband/rdma_cm", "/dev/infiniband/issm0", "/dev/gdrdrv", "/dev/nvidia-nvswitchctl", "/dev/nvidia-nvswitch0",
		"/dev/nvidia-caps-imex-channels/channel0", "/dev/nvidia-caps-imex-channels/channel7", "/dev/nvidia-caps/nvidia-cap1", "/dev/nvidia-caps/nvidia-cap2").
		file("/run/udev/data/x", "").file("/etc/cufile.json", "{}").file("/proc/driver/nvidia-caps/mig-minors", "config 1\nmonitor 2\n")
	bare := newFakeRoot(t)
	const caps, imex = "/dev/nvidia-caps/nvidia-cap", "/dev/nvidia-caps-imex-channels/channel"
	for _, c := range []struct {
		root       *fakeRoot
		env        string
		privileged bool
		want       string // nodes and files, or the error after a !, or the notice after a ~
	}{
		{r, "", false, ""},
		{r, "NVIDIA_GDS=enabled", false, "/dev/nvidia-fs0 /dev/nvidia-fs1 /run/udev /etc/cufile.json"},
		{r, "NVIDIA_GDS=1", false, ""},
		{r, "NVIDIA_GDS=enabled;NVIDIA_GDS=disabled", false, ""},
		{bare, "NVIDIA_GDS=enabled", false, "~NVIDIA_GDS=enabled is asked for, but this host has no /dev/nvidia-fs*"},
		{r, "NVIDIA_MOFED=enabled", false, "/dev/infiniband/uverbs0 /dev/infiniband/rdma_cm"},
		{bare, "NVIDIA_MOFED=enabled", false, "~NVIDIA_MOFED=enabled is asked for, but this host has no /dev/infiniband/uverbs* or"},
		{r, "NVIDIA_GDRCOPY=enabled", false, "/dev/gdrdrv"},
		{bare, "NVIDIA_GDRCOPY=enabled", false, "~NVIDIA_GDRCOPY=enabled"},
		{r, "NVIDIA_NVSWITCH=enabled", false, "/dev/nvidia-nvswitchctl /dev/nvidia-nvswitch0"},
		{bare, "NVIDIA_NVSWITCH=enabled", false, "~NVIDIA_NVSWITCH=enabled"},
		{r, "NVIDIA_IMEX_CHANNELS=7,channel0", false, imex + "7 " + imex + "0"},
		{r, "NVIDIA_IMEX_CHANNELS=all", false, imex + "0 " + imex + "7"},
		{r, "NVIDIA_IMEX_CHANNELS=void", false, ""},
		{r, "NVIDIA_IMEX_CHANNELS=", false, ""},
		{bare, "NVIDIA_IMEX_CHANNELS=all", false, "~NVIDIA_IMEX_CHANNELS=all is asked for, but this host has no "},
		{r, "NVIDIA_IMEX_CHANNELS=3", false, "!IMEX channel 3 is not on this host"},
		{r, "NVIDIA_IMEX_CHANNELS=0,x", false, "!invalid channel"},
		{r, "NVIDIA_IMEX_CHANNELS=-1", false, "!invalid channel"},
		{r, "NVIDIA_IMEX_CHANNELS=1048576", false, "!invalid channel"},
		{r, "NVIDIA_IMEX_CHANNELS=0/../../null", false, "!invalid channel"},
		{r, "NVIDIA_MIG_CONFIG_DEVICES=all", true, caps + "1"},
		{r, "NVIDIA_MIG_MONITOR_DEVICES=ALL", true, caps + "2"},
		{r, "NVIDIA_MIG_CONFIG_DEVICES=all", false, "!NVIDIA_MIG_CONFIG_DEVICES is for privileged containers"},
		{r, "NVIDIA_MIG_MONITOR_DEVICES=0", true, "!invalid NVIDIA_MIG_MONITOR_DEVICES=0"},
		{bare, "NVIDIA_MIG_CONFIG_DEVICES=all", true, "~NVIDIA_MIG_CONFIG_DEVICES=all is asked for, but no GPU"},
	} {
		a, err := c.root.host().askedFor(strings.Split(c.env, ";"), c.privileged)
		var got []string
		if err != nil {
			got = []string{"!" + err.Error()}
		} else {
			for _, n := range a.edits.DeviceNodes {
				got = append(got, n.Path)
			}
			for _, m := range a.edits.Mounts {
				got = append(got, m.ContainerPath)
			}
			for _, n := range a.notices {
				got = append(got, "~"+n)
			}
		}
		if text := strings.Join(got, " "); text != c.want && (c.want == "" || !strings.ContainsAny(c.want[:1], "!~") || !strings.HasPrefix(text, c.want)) {
			t.Errorf("%s: %q, want %q", c.env, text, c.want)
		}
	}
}

// TestFeaturesAreInjected asks beside a GPU, and without one.
func TestFeaturesAreInjected(t *testing.T) {
	r := newFakeRoot(t).loaded(v580).driver(v580, debianLibs).gpu("0000:1b:00.0", 0, uuidA, "NVIDIA H100").nodes("/dev/gdrdrv")
	c := openCatalog(context.Background(), nil, r.host(), hookDirs)
	e, err := c.Inject([]string{"nvidia.com/gpu=0"}, InjectOptions{Env: []string{"NVIDIA_GDRCOPY=enabled", "NVIDIA_GDS=enabled", "NVIDIA_GPU_MEMORY_LIMIT=1000"}})
	if err != nil || !slices.ContainsFunc(e.Devices, func(d runtime.DeviceNode) bool { return d.Target == "/dev/gdrdrv" }) {
		t.Error(e.Devices, err)
	}
	if said := strings.Join(e.Notices, "; "); !strings.Contains(said, "NVIDIA_GDS=enabled") || !strings.Contains(said, "NVIDIA_GPU_MEMORY_LIMIT=1000 is left out") {
		t.Error(said)
	}
	if _, err := c.Inject([]string{"nvidia.com/gpu=0"}, InjectOptions{Env: []string{"NVIDIA_MIG_CONFIG_DEVICES=all"}}); err == nil {
		t.Error("a container without rights may divide GPUs")
	}
}

// Who has a part of a GPU only may not divide all of them.
func TestInstancesDivideNothing(t *testing.T) {
	r, _ := hostOf(t, "rhel")
	r.nodes("/dev/nvidia-caps/nvidia-cap1")
	c := openCatalog(context.Background(), nil, r.host(), hookDirs)
	o := InjectOptions{Env: []string{"NVIDIA_MIG_CONFIG_DEVICES=all"}, Privileged: true}
	if e, err := c.Inject([]string{"nvidia.com/gpu=all"}, o); err != nil || !slices.ContainsFunc(e.Devices, func(d runtime.DeviceNode) bool { return d.Target == "/dev/nvidia-caps/nvidia-cap1" }) {
		t.Error(e.Devices, err)
	}
	for _, name := range []string{"0:1", "MIG-11111111-0000-0000-0000-000000000000"} {
		if _, err := c.Inject([]string{"nvidia.com/gpu=" + name}, o); err == nil || !strings.Contains(err.Error(), "cannot divide GPUs") {
			t.Error(name, err)
		}
	}
}

// A count takes the first of what can be used: GPUs, and the parts of divided ones.
func TestCountsOfDividedGPUs(t *testing.T) {
	known := []string{"nvidia.com/gpu=0:0", "nvidia.com/gpu=0:1", "nvidia.com/gpu=1", "nvidia.com/gpu=10:0", "nvidia.com/gpu=2:10", "nvidia.com/gpu=2:9", "nvidia.com/gpu=all",
		"nvidia.com/gpu=GPU-1", "nvidia.com/gpu=MIG-0", "nvidia.com/gpu=MIG-1"}
	for _, c := range []struct {
		r    Request
		want string
	}{
		{Request{Count: 1}, "0:0"}, {Request{Count: 2}, "0:0 0:1"}, {Request{Count: 3}, "0:0 0:1 1"}, {Request{Count: 6}, "0:0 0:1 1 2:9 2:10 10:0"},
		{Request{Count: 7}, "!7 GPUs were asked for, but this host has 6"}, {Request{Count: -1}, "all"},
		{Request{DeviceIDs: []string{"MIG-1", "2:9"}}, "MIG-1 2:9"}, {Request{DeviceIDs: []string{"0"}}, "!GPU 0 is divided, so it cannot be used as a whole"}, {Request{DeviceIDs: []string{"7"}}, "!unresolvable CDI devices nvidia.com/gpu=7"},
	} {
		names, err := c.r.Names(known)
		got := strings.ReplaceAll(strings.Join(names, " "), "nvidia.com/gpu=", "")
		if err != nil {
			got = "!" + err.Error()
		}
		if got != c.want {
			t.Errorf("%+v: %s, want %s", c.r, got, c.want)
		}
	}
}
