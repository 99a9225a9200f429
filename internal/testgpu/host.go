// This file owns the host: its files, and commands that see them.

package testgpu

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// Version is that of the driver.
const Version = "580.95.05"

// Libraries is the directory of the driver's libraries.
const Libraries = "/usr/lib/x86_64-linux-gnu"

// GPUs is how many of them there are. UUID gives the name of one.
const GPUs = 8

// UUID is the name that the driver gives a GPU.
func UUID(n int) string { return fmt.Sprintf("GPU-%08d-1111-2222-3333-444444444444", n) }

var (
	//go:embed files/enter.sh
	enter []byte
	//go:embed files/libcuda.c
	libcuda []byte
	//go:embed files/nvidia-smi
	smi string
)

// Host is a host with GPUs: a directory that everybody can read.
type Host struct{ Dir string }

// New makes a host. A machine on which none can be made skips the test.
func New(t testing.TB) *Host {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "gbuild-gpu-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h := &Host{dir}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	h.addDriver(t)
	h.addGPUs(t)
	h.write(t, "enter.sh", string(enter), 0o755)
	h.write(t, "merged", Libraries+"\n/usr/bin\n", 0o644)
	if out, err := h.Command(t.Context(), "true").CombinedOutput(); err != nil {
		t.Skipf("no host with GPUs can be made up here: %v\n%s", err, out)
	}
	return h
}

// Command is a command on the host.
func (h *Host) Command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, filepath.Join(h.Dir, "enter.sh"), append([]string{h.Dir}, args...)...)
}

// sonames are the driver's libraries, with the names by which programs ask for them; * is the version.
var sonames = map[string]string{
	"libcuda": "libcuda.so.1", "libcudadebugger": "libcudadebugger.so.1", "libnvidia-ml": "libnvidia-ml.so.1", "libnvidia-cfg": "libnvidia-cfg.so.1",
	"libnvidia-ptxjitcompiler": "libnvidia-ptxjitcompiler.so.1", "libnvidia-nvvm": "libnvidia-nvvm.so.4", "libnvidia-opencl": "libnvidia-opencl.so.1",
	"libnvidia-encode": "libnvidia-encode.so.1", "libnvcuvid": "libnvcuvid.so.1", "libnvidia-opticalflow": "libnvidia-opticalflow.so.1",
	"libnvidia-allocator": "libnvidia-allocator.so.1", "libnvidia-ngx": "libnvidia-ngx.so.1", "libnvidia-fbc": "libnvidia-fbc.so.1", "libnvoptix": "libnvoptix.so.1",
	"libnvidia-sandboxutils": "libnvidia-sandboxutils.so.1", "libnvidia-gpucomp": "libnvidia-gpucomp.so.*", "libnvidia-pkcs11": "libnvidia-pkcs11.so.*",
	"libGLX_nvidia": "libGLX_nvidia.so.0", "libEGL_nvidia": "libEGL_nvidia.so.0", "libGLESv2_nvidia": "libGLESv2_nvidia.so.2", "libGLESv1_CM_nvidia": "libGLESv1_CM_nvidia.so.1",
	"libnvidia-eglcore": "libnvidia-eglcore.so.*", "libnvidia-glcore": "libnvidia-glcore.so.*", "libnvidia-glsi": "libnvidia-glsi.so.*",
	"libnvidia-glvkspirv": "libnvidia-glvkspirv.so.*", "libnvidia-rtcore": "libnvidia-rtcore.so.*", "libnvidia-tls": "libnvidia-tls.so.*",
}

// addDriver adds libraries and programs.
func (h *Host) addDriver(t testing.TB) {
	t.Helper()
	library := compile(t)
	for name, soname := range sonames {
		soname = strings.ReplaceAll(soname, "*", Version)
		text := bytes.Replace(library, []byte(placeholder), []byte(soname+strings.Repeat("\x00", len(placeholder)-len(soname))), 1)
		h.write(t, path.Join("root", Libraries, name+".so."+Version), string(text), 0o644)
	}
	for _, name := range []string{"libcuda", "libnvidia-ml"} { // as ldconfig makes them
		if err := os.Symlink(name+".so."+Version, filepath.Join(h.Dir, "root", Libraries, sonames[name])); err != nil {
			t.Fatal(err)
		}
	}
	h.write(t, "root/usr/bin/nvidia-smi", strings.ReplaceAll(smi, "VERSION", Version), 0o755)
	for _, name := range []string{"nvidia-debugdump", "nvidia-persistenced", "nvidia-cuda-mps-control", "nvidia-cuda-mps-server"} {
		h.write(t, path.Join("root/usr/bin", name), "#!/bin/sh\n", 0o755)
	}
}

// addGPUs adds what the kernel's side of the driver shows, and the nodes of other devices that such hosts have.
func (h *Host) addGPUs(t testing.TB) {
	t.Helper()
	nodes := []string{"nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "kfd", "dri/card0", "dri/renderD128", "infiniband/uverbs0", "snd/timer", "video0", "uinput"}
	for n := range GPUs {
		nodes = append(nodes, fmt.Sprintf("nvidia%d", n))
		h.write(t, fmt.Sprintf("proc/gpus/0000:%02x:00.0/information", 0x10+n), fmt.Sprintf(
			"Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 17\nGPU UUID: \t %s\nBus Type: \t PCIe\nDevice Minor: \t %d\nGPU Excluded:\t No\n", UUID(n), n), 0o444)
	}
	h.write(t, "proc/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  "+Version+"  Tue Sep  2\n", 0o444)
	h.write(t, "proc/params", "ModifyDeviceFiles: 1\n", 0o444)
	h.write(t, "nodes", strings.Join(nodes, "\n")+"\n", 0o644)
}

// write writes a file of the host's directory.
func (h *Host) write(t testing.TB, name, text string, mode fs.FileMode) {
	t.Helper()
	file := filepath.Join(h.Dir, name)
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, []byte(text), mode)
	}
	if err == nil {
		err = os.Chmod(file, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// placeholder is longer than the name of any library.
const placeholder = "libplaceholder-for-the-names-of-libraries.so.1234"

// compile makes the library that stands for all.
func compile(t testing.TB) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "library")
	cmd := exec.Command("gcc", "-shared", "-fPIC", "-O1", "-Wl,-soname,"+placeholder, "-o", file, "-x", "c", "-")
	cmd.Stdin = bytes.NewReader(libcuda)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("gcc makes no library: %v\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
