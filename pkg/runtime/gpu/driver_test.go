package gpu

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"

	"tags.cncf.io/container-device-interface/pkg/cdi"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

const (
	debianLibs = "/usr/lib/x86_64-linux-gnu"
	v580       = "580.99.01"
	uuidA      = "GPU-aaaaaaaa-0000-0000-0000-000000000000"
	uuidB      = "GPU-bbbbbbbb-0000-0000-0000-000000000000"
	noUUID     = "GPU-????????-????-????-????-????????????"
)

func TestDriverSpec(t *testing.T) {
	if goruntime.GOARCH != "amd64" {
		t.Skip("the goldens hold amd64's directories")
	}
	for _, c := range []struct {
		name string
		make func(*fakeRoot)
	}{
		{"one", func(r *fakeRoot) {
			r.loaded(v580).driver(v580, debianLibs).gpu("0000:1b:00.0", 0, uuidA, "NVIDIA H100 80GB HBM3")
			r.script("/usr/bin/nvidia-smi", "#!/bin/sh\nexit 1\n").script("/usr/bin/nvidia-persistenced", "")
			r.nodes("/dev/dri/card1", "/dev/dri/renderD128").file("/sys/bus/pci/devices/0000:1b:00.0/drm/card1/x", "").
				file("/sys/bus/pci/devices/0000:1b:00.0/drm/renderD128/x", "").file("/sys/bus/pci/devices/0000:1b:00.0/drm/renderD999/x", "")
			r.file("/lib/firmware/nvidia/"+v580+"/gsp_ga10x.bin", "").file("/usr/share/glvnd/egl_vendor.d/10_nvidia.json", "{}").
				file("/run/nvidia-persistenced/socket", "")
			// What must not come along: the vendor-neutral libraries, 32-bit ones, and what is no library at all.
			r.library(debianLibs+"/libGL.so."+v580, "libGL.so.1").file(debianLibs+"/libnvidia-text.so."+v580, "GROUP ( )")
			r.file("/usr/lib/libnvidia-32.so."+v580, string(elfLibrary("libnvidia-32.so.1", elf.ELFCLASS32, elf.EM_386)))
			r.library(debianLibs+"/libnvidia-egl-gbm.so.1.1.2", "libnvidia-egl-gbm.so.1").link("libnvidia-egl-gbm.so.1.1.2", debianLibs+"/libnvidia-egl-gbm.so.1")
			r.library(debianLibs+"/vdpau/libvdpau_nvidia.so."+v580, "libvdpau_nvidia.so.1")
			r.link("libcuda.so."+v580, debianLibs+"/libcuda.so.1")
		}},
		{"eight", func(r *fakeRoot) {
			r.loaded(v580).driver(v580, "/usr/lib64")
			for i := range 8 {
				// The order of bus ids is the reverse of the minors.
				r.gpu(fmt.Sprintf("%08x:%02x:00.0", i/4, 0x10+i), 7-i, fmt.Sprintf("GPU-%08d", i), "NVIDIA H100")
			}
		}},
		{"mig", func(r *fakeRoot) {
			r.loaded(v580).driver(v580, debianLibs).gpu("0000:1b:00.0", 3, uuidA, "NVIDIA H100").gpu("0000:1c:00.0", 1, uuidB, "NVIDIA H100")
			for _, gi := range []int{2, 11, 1} {
				base := fmt.Sprintf("/proc/driver/nvidia/capabilities/gpu3/mig/gi%d/", gi)
				r.file(base+"access", fmt.Sprintf("DeviceFileMinor: %d\nDeviceFileMode: 292\nDeviceFileModify: 1\n", 10*gi))
				r.file(base+"ci0/access", fmt.Sprintf("DeviceFileMinor: %d\nDeviceFileMode: 292\n", 10*gi+1))
				r.nodes(fmt.Sprintf("/dev/nvidia-caps/nvidia-cap%d", 10*gi), fmt.Sprintf("/dev/nvidia-caps/nvidia-cap%d", 10*gi+1))
			}
			r.file("/proc/driver/nvidia/capabilities/gpu3/mig/gi5/ci0/access", "DeviceFileMinor: ../../x\n")
			// One that is another container's: its nodes are not here.
			r.file("/proc/driver/nvidia/capabilities/gpu3/mig/gi7/access", "DeviceFileMinor: 70\n").file("/proc/driver/nvidia/capabilities/gpu3/mig/gi7/ci0/access", "DeviceFileMinor: 71\n")
			r.script("/usr/bin/nvidia-smi", "#!/bin/sh\n[ \"$HOME\" = '' ] && [ \"$1\" = -L ] || exit 1\ncat <<E\n"+
				"GPU 0: NVIDIA H100 (UUID: "+uuidA+")\n  MIG 1g.10gb     Device  0: (UUID: MIG-0000)\n  MIG 1g.10gb     Device  1: (UUID: MIG-1111)\n"+
				"  MIG 1g.10gb     Device  7: (UUID: MIG-7777)\nGPU 1: NVIDIA H100 (UUID: "+uuidB+")\nGPU 9: x (UUID: GPU-9)\n  MIG 1g Device 0: (UUID: MIG-9)\nE\n")
		}},
		{"local", func(r *fakeRoot) { // GKE, COS and pods: everything in /usr/local/nvidia, no ld.so.cache
			r.loaded(v580).driver(v580, "/usr/local/nvidia/lib64").gpu("0000:1b:00.0", 0, uuidA, "NVIDIA L4")
			r.script("/usr/local/nvidia/bin/nvidia-smi", "#!/bin/sh\n").file("/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json", "{}")
		}},
		{"two-versions", func(r *fakeRoot) {
			r.loaded(v580).driver("570.1", debianLibs).driver(v580, "/opt/driver/lib").gpu("0000:1b:00.0", 0, uuidA, "NVIDIA GeForce RTX 4090")
			r.file("/etc/ld.so.conf", "# note\ninclude /etc/ld.so.conf.d/*.conf\n").file("/etc/ld.so.conf.d/a.conf", "/nowhere\n/opt/driver/lib # here\n")
			r.file("/etc/ld.so.conf.d/loop.conf", "include ../ld.so.conf\n")
		}},
		{"nodes-only", func(r *fakeRoot) { // gVisor: no /proc/driver/nvidia, no /sys/module
			r.nodes("/dev/nvidia10", "/dev/nvidia2", "/dev/nvidiactl", "/dev/nvidia-uvm").driver(v580, "/usr/local/nvidia/lib64")
			r.file("/dev/nvidia5", "not a node").script("/usr/local/nvidia/bin/nvidia-smi", "#!/bin/sh\nprintf 'GPU 0: NVIDIA H200 (UUID: "+uuidA+")\\nGPU 1: NVIDIA H200 (UUID: "+uuidB+")\\n'\n")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newFakeRoot(t)
			c.make(r)
			b, err := MarshalSpec(specOf(t, r.host()))
			if err != nil {
				t.Fatal(err)
			}
			golden(t, c.name+".yaml", r.dir, string(b))
			if again, err := cdi.ParseSpec(b); err != nil || validateSpec(again) != nil {
				t.Errorf("what is printed is no spec: %v, %v", err, validateSpec(again))
			}
		})
	}
}

func TestDriverDetection(t *testing.T) {
	ctx := context.Background()
	full := func(t *testing.T) *fakeRoot { return newFakeRoot(t).loaded(v580).driver(v580, "/usr/lib64") }

	t.Run("unknown UUID", func(t *testing.T) {
		d, err := full(t).gpu("0000:01:00.0", 0, noUUID, "NVIDIA T4").host().driver(ctx)
		if err != nil || len(d.GPUs) != 1 || d.GPUs[0].UUID != "" || d.Version != v580 || len(d.Notices) != 0 {
			t.Fatalf("%+v, %v", d, err)
		}
		s, err := d.Spec()
		if err != nil || len(s.Devices) != 2 || s.Devices[0].Name != "0" || s.Devices[1].Name != "all" {
			t.Errorf("%+v, %v", s, err)
		}
	})
	t.Run("UUID from nvidia-smi", func(t *testing.T) {
		r := full(t).gpu("0000:01:00.0", 0, noUUID, "NVIDIA T4")
		d, err := r.script("/usr/bin/nvidia-smi", "#!/bin/sh\necho 'GPU 0: Tesla T4 (UUID: "+uuidA+")'\n").host().driver(ctx)
		if err != nil || d.GPUs[0].UUID != uuidA || d.GPUs[0].Model != "NVIDIA T4" {
			t.Errorf("%+v, %v", d, err)
		}
	})
	t.Run("missing uvm", func(t *testing.T) {
		r := newFakeRoot(t).nodes("/dev/nvidiactl").gpu("0000:01:00.0", 0, uuidA, "T4").
			file("/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.99.01  Release Build  (x)\nGCC version: gcc 12\n")
		d, err := r.host().driver(ctx)
		if err != nil || d.Version != v580 || len(d.Notices) != 1 || !strings.Contains(d.Notices[0], "nvidia-modprobe -u -c 0") {
			t.Errorf("%+v, %v", d, err)
		}
	})
	t.Run("GPUs of other containers", func(t *testing.T) {
		r := full(t).gpu("0000:01:00.0", 5, uuidA, "T4")
		r.file("/proc/driver/nvidia/gpus/0000:02:00.0/information", "GPU UUID: GPU-x\nDevice Minor: 6\n")
		r.nodes("/dev/nvidia7").file("/proc/driver/nvidia/gpus/0000:03:00.0/information", "Device Minor: 7\nGPU Excluded: Yes\n")
		d, err := r.host().driver(ctx)
		if err != nil || len(d.GPUs) != 1 || d.GPUs[0].Minor != 5 || d.GPUs[0].Index != 0 {
			t.Errorf("%+v, %v", d, err)
		}
	})
	for name, c := range map[string]struct {
		make func(*fakeRoot)
		err  string
	}{
		"no driver":     {func(*fakeRoot) {}, "this host has no NVIDIA driver"},
		"WSL":           {func(r *fakeRoot) { r.nodes("/dev/dxg") }, "this is WSL"},
		"no GPU for us": {func(r *fakeRoot) { r.loaded(v580) }, "the NVIDIA driver 580.99.01 is loaded, but no GPU"},
		"other version": {func(r *fakeRoot) { r.loaded(v580).driver("570.1", "/usr/lib64").gpu("0:1:0.0", 0, uuidA, "x") }, "the kernel runs NVIDIA driver 580.99.01, but the libraries installed are 570.1"},
		"no libraries":  {func(r *fakeRoot) { r.loaded(v580).gpu("0:1:0.0", 0, uuidA, "x") }, "no libcuda.so of NVIDIA driver 580.99.01 was found"},
		"foreign driver": {func(r *fakeRoot) {
			r.loaded(v580).gpu("0:1:0.0", 0, uuidA, "x").file("/usr/lib64/libcuda.so."+v580, "text")
		}, "no libcuda.so of"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newFakeRoot(t)
			c.make(r)
			d, err := r.host().driver(ctx)
			if err == nil {
				_, err = d.Spec()
			}
			m, ok := errors.AsType[*host.Missing](err)
			if !ok || !strings.HasPrefix(err.Error(), c.err) || m.Hint() == "" {
				t.Errorf("%v", err)
			}
		})
	}
}

// The spec names the group of a node that not everybody may open, as NVIDIA's does, so that users of a container may.
func TestGroupsOfNodes(t *testing.T) {
	r := newFakeRoot(t).loaded(v580).driver(v580, "/usr/lib64").gpu("0000:01:00.0", 0, uuidA, "T4").gpu("0000:02:00.0", 1, uuidB, "T4").nodes("/dev/dri/card0").
		file("/sys/bus/pci/devices/0000:01:00.0/drm/card0/x", "")
	chown(t, r.dir+"/dev/dri/card0", 44)
	chmod(t, r.dir+"/dev/dri/card0", 0o660)
	chown(t, r.dir+"/dev/nvidia1", 45)
	chmod(t, r.dir+"/dev/nvidia1", 0o666)
	for _, dev := range specOf(t, r.host()).Devices {
		want := []uint32{44}
		if dev.Name == "1" || dev.Name == uuidB {
			want = nil
		}
		if !slices.Equal(dev.ContainerEdits.AdditionalGIDs, want) {
			t.Errorf("%s: %v, want %v", dev.Name, dev.ContainerEdits.AdditionalGIDs, want)
		}
	}
}

// A SONAME becomes a link in the container, so one that is a path is none.
func TestHostileSoname(t *testing.T) {
	r := newFakeRoot(t)
	for _, soname := range []string{"../../etc/passwd", "/etc/passwd", "..", ".", ""} {
		got, ok := librarySoname(r.library("/l", soname).dir + "/l")
		if got != "" || !ok {
			t.Errorf("%q: %q, %v", soname, got, ok)
		}
	}
	for _, text := range []string{"", "\x7fELF", strings.Repeat("\x7fELF\x02\x01\x01", 100)} {
		if _, ok := librarySoname(r.file("/l", text).dir + "/l"); ok {
			t.Errorf("%q is taken for a library", text)
		}
	}
}
