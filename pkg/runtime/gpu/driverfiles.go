// This file finds what a driver has besides libraries: programs, descriptions that loaders look for, modules of the X server, firmware and
// the sockets of its daemons.

package gpu

import (
	"os"
	"path"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// program finds one of the driver's programs, or "".
func program(name string, l driverLibraries) string {
	for _, d := range []string{path.Join(path.Dir(l.dir), "bin"), "/usr/bin", nvidiaBinDir, "/opt/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"} {
		f := l.root + d + "/" + name
		if st, err := os.Stat(f); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return f
		}
	}
	return ""
}

// driverPrograms are the programs that containers get.
var driverPrograms = []string{"nvidia-smi", "nvidia-debugdump", "nvidia-persistenced", "nvidia-cuda-mps-control",
	"nvidia-cuda-mps-server", "nvidia-imex", "nvidia-imex-ctl", "nvidia-xconfig"}

// programDirs are the directories in which an image has programs; what is elsewhere goes to where NVIDIA's own images look.
var programDirs = []string{"/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"}

// programFiles lists the driver's programs.
func programFiles(l driverLibraries) []driverFile {
	var out []driverFile
	for _, name := range driverPrograms {
		if f := program(name, l); f != "" {
			in := strings.TrimPrefix(f, l.root)
			if !slices.Contains(programDirs, path.Dir(in)) {
				in = path.Join(nvidiaBinDir, name)
			}
			out = append(out, driverFile{host: f, container: in})
		}
	}
	return out
}

// shares are descriptions that loaders look for, by the directory below which a container has them.
var shares = []struct {
	container string
	names     []string
}{
	{"/usr/share", []string{
		"glvnd/egl_vendor.d/10_nvidia.json", "egl/egl_external_platform.d/15_nvidia_gbm.json", "egl/egl_external_platform.d/10_nvidia_wayland.json",
		"egl/egl_external_platform.d/09_nvidia_wayland2.json", "egl/egl_external_platform.d/20_nvidia_xcb.json",
		"egl/egl_external_platform.d/20_nvidia_xlib.json", "nvidia/nvoptix.bin", "X11/xorg.conf.d/10-nvidia.conf",
		"X11/xorg.conf.d/nvidia-drm-outputclass.conf",
	}},
	{"/etc", []string{
		"OpenCL/vendors/nvidia.icd", "vulkan/icd.d/nvidia_icd.json", "vulkan/icd.d/nvidia_layers.json", "vulkan/implicit_layer.d/nvidia_layers.json",
		"vulkan/icd.d/nvidia_icd." + map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[goruntime.GOARCH] + ".json",
	}},
}

// shareFiles lists the descriptions. Below a driver root they may lie without a directory of their own, as GKE has them.
func shareFiles(l driverLibraries) []driverFile {
	var out []driverFile
	for _, s := range shares {
		for _, name := range s.names {
			for _, dir := range []string{"/etc/", "/usr/local/share/", "/usr/share/", "/usr/local/nvidia/share/", "/share/", "/"} {
				if f := l.root + dir + name; exists(f) {
					out = append(out, driverFile{host: f, container: path.Join(s.container, name)})
					break
				}
			}
		}
	}
	return out
}

// xorgFiles lists the modules of the X server. They keep their places: the server's configuration names them.
func xorgFiles(l driverLibraries) []driverFile {
	dirs := []string{l.dir + "/nvidia/xorg"}
	for _, base := range []string{l.dir + "/xorg", "/usr/lib/xorg", "/usr/lib64/xorg", "/usr/X11R6/lib", "/usr/X11R6/lib64"} {
		for _, modules := range []string{"/modules/", "/modules/updates/"} {
			dirs = append(dirs, base+modules+"drivers", base+modules+"extensions")
		}
	}
	var out []driverFile
	for _, name := range []string{"nvidia_drv.so", "libglxserver_nvidia.so." + l.version} {
		for _, dir := range dirs {
			if f := l.root + dir + "/" + name; exists(f) {
				out = append(out, driverFile{host: f, container: path.Join(dir, name)})
				break
			}
		}
	}
	return out
}

// firmwareFiles lists the firmware of the driver's GPUs, in the order in which the kernel looks for it.
func (h view) firmwareFiles(l driverLibraries) []driverFile {
	var name unix.Utsname
	_ = unix.Uname(&name)
	release := unix.ByteSliceToString(name.Release[:])
	dirs := []string{"/lib/firmware/updates/" + release, "/lib/firmware/updates", "/lib/firmware/" + release, "/lib/firmware"}
	if custom := h.read("/sys/module/firmware_class/parameters/path"); path.IsAbs(custom) {
		dirs = append([]string{path.Clean(custom)}, dirs...)
	}
	var out []driverFile
	for _, kind := range []string{"gsp*.bin", "ucodes*.bin"} {
		for _, dir := range dirs {
			found, _ := filepath.Glob(l.root + dir + "/nvidia/" + l.version + "/" + kind)
			for _, f := range found {
				out = append(out, driverFile{host: f, container: strings.TrimPrefix(f, l.root)})
			}
		}
	}
	return out
}

// daemonFiles lists the sockets of the driver's daemons, which may run beside the driver, in a root of their own, or on the host.
func (h view) daemonFiles(l driverLibraries) []driverFile {
	var out []driverFile
	for _, names := range [][]string{
		{"/run/nvidia-persistenced/socket", "/var/run/nvidia-persistenced/socket"},
		{"/run/nvidia-fabricmanager/socket", "/var/run/nvidia-fabricmanager/socket"},
		{"/tmp/nvidia-mps"},
	} {
		if f, ok := firstOf([]string{l.root, strings.TrimSuffix(h.path("/"), "/")}, names); ok {
			f.writable = true
			out = append(out, f)
		}
	}
	return out
}

// firstOf finds the first of some files that is there, below the first of some roots.
func firstOf(roots, names []string) (driverFile, bool) {
	for _, root := range roots {
		for _, name := range names {
			if exists(root + name) {
				return driverFile{host: root + name, container: name}, true
			}
		}
	}
	return driverFile{}, false
}

// otherFiles lists all of that but the programs.
func (h view) otherFiles(l driverLibraries) []driverFile {
	return slices.Concat(shareFiles(l), xorgFiles(l), h.firmwareFiles(l), h.daemonFiles(l))
}
