package gpu

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	specs "tags.cncf.io/container-device-interface/specs-go"
)

// hostOf makes the host that a file of testdata/hosts describes: a line for each thing that is there. It returns where the driver lies
// that the toolkit was told to take, "" for no place of its own.
func hostOf(t *testing.T, name string) (r *fakeRoot, driver string) {
	t.Helper()
	b, err := os.ReadFile("testdata/hosts/" + name + ".host")
	if err != nil {
		t.Fatal(err)
	}
	r = newFakeRoot(t)
	var minors, smi string
	for line := range strings.Lines(string(b)) {
		w := strings.Fields(line)
		switch w[0] {
		case "#", "mode":
		case "root":
			driver = w[1]
		case "node":
			r.nodes(w[1])
		case "lib":
			r.library(w[1], w[2])
		case "lib32":
			r.file(w[1], string(elfLibrary(w[2], 1, 3)))
		case "file":
			r.file(w[1], "")
		case "exe":
			r.script(w[1], "#!/bin/sh\nexit 1\n")
		case "text":
			r.file(w[1], strings.ReplaceAll(strings.Join(w[2:], " "), `\n`, "\n")+"\n")
		case "link":
			r.link(w[1], w[2])
		case "gpu":
			var minor int
			fmt.Sscan(w[2], &minor)
			if driver != "/run/nvidia/driver" {
				r.nodes("/dev/nvidia" + w[2])
			}
			r.information(w[1], minor, w[3], strings.Join(w[4:], " "))
			smi += fmt.Sprintf("GPU 0: %s (UUID: %s)\n", strings.Join(w[4:], " "), w[3])
		case "mig": // GPU's minor, GPU instance, compute instance, their nodes, UUID: nodes are by /proc/driver/nvidia-caps only
			base := fmt.Sprintf("/proc/driver/nvidia/capabilities/gpu%s/mig/gi%s", w[1], w[2])
			r.file(base+"/access", "").file(base+"/ci"+w[3]+"/access", "").nodes("/dev/nvidia-caps/nvidia-cap"+w[4], "/dev/nvidia-caps/nvidia-cap"+w[5])
			minors += fmt.Sprintf("gpu%s/gi%s/access %s\ngpu%s/gi%s/ci%s/access %s\n", w[1], w[2], w[4], w[1], w[2], w[3], w[5])
			smi += fmt.Sprintf("  MIG 1g.10gb     Device  %d: (UUID: %s)\n", strings.Count(smi, "MIG 1g"), w[6])
		default:
			t.Fatalf("%s: %q", name, line)
		}
	}
	if minors != "" {
		r.file("/proc/driver/nvidia-caps/mig-minors", "config 1\nmonitor 2\n"+minors).script("/usr/bin/nvidia-smi", "#!/bin/sh\ncat <<E\n"+smi+"E\n")
	}
	return r, driver
}

// factsOf lists what a spec says, a line for each thing: whose it is, and what.
func factsOf(s *specs.Spec, root string) []string {
	var out []string
	edits := func(of string, e *specs.ContainerEdits) {
		add := func(format string, args ...any) {
			out = append(out, of+" "+strings.ReplaceAll(fmt.Sprintf(format, args...), root, "ROOT"))
		}
		for _, v := range e.Env {
			add("env %s", v)
		}
		for _, n := range e.DeviceNodes {
			add("node %s from %s", n.Path, hostPath(n))
		}
		for _, m := range e.Mounts {
			add("mount %s on %s %s", m.HostPath, m.ContainerPath, strings.Join(slices.Sorted(slices.Values(m.Options)), ","))
		}
		for _, h := range e.Hooks {
			name, flags, _ := nvidiaCall(h)
			for _, l := range flags["link"] {
				add("link %s", l)
			}
			for _, f := range flags["folder"] {
				add("folder %s", f)
			}
			if name != "create-symlinks" && name != "update-ldcache" {
				add("hook %s", strings.Join(h.Args[1:], " "))
			}
		}
	}
	edits("all", &s.ContainerEdits)
	for _, d := range s.Devices {
		if d.Name != "all" {
			edits(d.Name, &d.ContainerEdits)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestSpecOfToolkit holds the spec that is made here against NVIDIA's of the same hosts, fact by fact. In testdata/toolkit a line with a
// "-" is one that only NVIDIA has, one with a "+" one that only gbuild has; README.md says why.
func TestSpecOfToolkit(t *testing.T) {
	if nativeMachine != 62 {
		t.Skip("the goldens hold amd64's directories")
	}
	agree, differ := 0, 0
	for _, name := range []string{"debian", "rhel", "gke", "operator", "jetson"} {
		t.Run(name, func(t *testing.T) {
			r, driver := hostOf(t, name)
			h := r.host()
			h.place.Root = driver
			s := specOf(t, h)
			got := factsOf(s, r.dir)
			b, err := os.ReadFile("testdata/toolkit/" + name + ".facts")
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]bool{}
			for line := range strings.Lines(string(b)) {
				line = strings.TrimSuffix(line, "\n")
				switch fact := line[1:]; {
				case line[0] == '-' && slices.Contains(got, fact):
					t.Errorf("gbuild has it, too: %s", fact)
				case line[0] == '-':
					differ++
				case line[0] == '+':
					differ++
					want[fact] = true
				default:
					agree++
					want[line] = true
				}
			}
			for _, g := range got {
				if !want[g] {
					t.Errorf("only gbuild has: +%s", g)
				}
				delete(want, g)
			}
			for w := range want {
				t.Errorf("only NVIDIA has: -%s", w)
			}
		})
	}
	if t.Logf("%d facts agree, %d differ", agree, differ); differ*50 > agree+differ {
		t.Error("that are too many")
	}
}

// TestLinksLeadSomewhere injects the driver for every capability: each link leads to something that is injected, too, and nothing is there
// that none of the capabilities needs.
func TestLinksLeadSomewhere(t *testing.T) {
	r, _ := hostOf(t, "debian")
	c := openCatalog(context.Background(), nil, r.host(), hookDirs)
	files := map[string]string{
		"compute": "libcuda.so.580.95.05 nvidia.icd nvidia-cuda-mps-server", "utility": "nvidia-smi libnvidia-ml.so.580.95.05", "video": "libnvcuvid.so.580.95.05 libvdpau_nvidia.so.580.95.05",
		"graphics": "nvidia_icd.json nvidia_layers.json 10_nvidia.json 15_nvidia_gbm.json 20_nvidia_xcb.json libnvidia-egl-gbm.so.1.1.2 nvoptix.bin libglxserver_nvidia.so.580.95.05 nvidia_drv.so nvidia-drm-outputclass.conf nvidia-xconfig libnvidia-vulkan-producer.so.580.95.05",
		"ngx":      "libnvidia-ngx.so.580.95.05", "display": "libGLX_nvidia.so.580.95.05 10-nvidia.conf", "compat32": "/usr/local/nvidia/lib32/libcuda.so.580.95.05", "all": "gsp_ga10x.bin",
	}
	for _, name := range append(slices.Clone(capNames), "all", "compute,utility", "compute,compat32", "graphics,compat32") {
		for _, layerless := range []bool{false, true} {
			e, err := c.Inject([]string{"nvidia.com/gpu=0"}, InjectOptions{Capabilities: name, Layerless: layerless})
			if err != nil {
				t.Fatal(err)
			}
			there := map[string]string{} // what is at a path: a link's target, or "" for a file
			for _, m := range e.Mounts {
				there[m.Target] = ""
			}
			for _, d := range e.Devices {
				there[d.Target] = ""
			}
			for _, l := range e.Root.Links {
				there[l.Path] = l.Target
			}
			for _, l := range e.Root.Links {
				at := l.Path
				for n := 0; there[at] != "" && n < 5; n++ {
					if !path.IsAbs(there[at]) {
						at = path.Join(path.Dir(at), there[at])
					} else {
						at = there[at]
					}
				}
				if to, ok := there[at]; !ok || to != "" {
					t.Errorf("%s, layerless %v: link %s leads to %s, where nothing is", name, layerless, l.Path, at)
				}
			}
			if layerless {
				continue
			}
			has := asJSON(e)
			for cap, names := range files {
				wanted := cap == "all" || name == "all" || slices.Contains(strings.Split(name, ","), cap)
				if cap == "compat32" && name == "compat32" || cap == "display" && name == "graphics" || cap == "graphics" && name == "display" || name == "graphics,compat32" && (cap == "compat32" || cap == "display") {
					continue // 32 bits of other capabilities only; what both draw with
				}
				for f := range strings.FieldsSeq(names) {
					if strings.Contains(has, f+`"`) != wanted {
						t.Errorf("%s: %s is there: %v", name, f, !wanted)
					}
				}
			}
			if profile := strings.Contains(has, "EGLVisibleDGPUDevices"); profile != (name == "all" || strings.Contains(name, "graphics") || name == "display") {
				t.Errorf("%s: the profile for drawing is there: %v", name, profile)
			}
		}
	}
}

// TestHookArguments holds what an environment asks for against what NVIDIA's hook told its tool for the same one: eight recorded calls.
func TestHookArguments(t *testing.T) {
	for env, want := range map[string]string{
		"NVIDIA_VISIBLE_DEVICES=all;NVIDIA_REQUIRE_CUDA=cuda>=12.4 brand=tesla,driver>=525,driver<526;NVIDIA_DRIVER_CAPABILITIES=compute,utility": "--device=all --compute --utility --require=cuda>=12.4 brand=tesla,driver>=525,driver<526",
		"NVIDIA_VISIBLE_DEVICES=0,1": "--device=0,1 --compute --utility",
		"NVIDIA_VISIBLE_DEVICES=GPU-abc;NVIDIA_DRIVER_CAPABILITIES=all;NVIDIA_DISABLE_REQUIRE=1;NVIDIA_REQUIRE_CUDA=cuda>=99": "--device=GPU-abc --compat32 --compute --display --graphics --ngx --utility --video",
		"NVIDIA_VISIBLE_DEVICES=none": "--compute --utility",
		"NVIDIA_VISIBLE_DEVICES=void": "none",
		"CUDA_VERSION=12.4.1":         "--device=all --compat32 --compute --display --graphics --ngx --utility --video --require=cuda>=12.4",
		"FOO=bar":                     "none",
		"NVIDIA_VISIBLE_DEVICES=all;NVIDIA_DRIVER_CAPABILITIES=bogus": "error",
	} {
		if got := hookArguments(strings.Split(env, ";")); got != want {
			t.Errorf("%s: %s, want %s", env, got, want)
		}
	}
}

func hookArguments(env []string) string {
	r := Visible(env)
	if r.None() {
		return "none"
	}
	var args []string
	if ids := r.visible(); ids != noGPU {
		args = append(args, "--device="+ids)
	}
	caps, err := capsOf(env)
	if err != nil {
		return "error"
	}
	var names []string
	for i, name := range capNames {
		if caps&(1<<i) != 0 {
			names = append(names, "--"+name)
		}
	}
	slices.Sort(names)
	args = append(args, names...)
	if off, _ := lastEnv(env, "NVIDIA_DISABLE_REQUIRE"); off == "1" {
		return strings.Join(args, " ")
	}
	all, err := requirements(env)
	if err != nil {
		return "error"
	}
	for _, r := range all {
		args = append(args, "--require="+r)
	}
	return strings.Join(args, " ")
}
