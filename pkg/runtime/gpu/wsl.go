// This file owns the GPUs of Windows Subsystem for Linux. There Windows has the driver: a node leads to it, for all GPUs at once, and its
// files for Linux lie in a directory of the store in which Windows keeps drivers.

package gpu

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

const (
	wslNode   = "/dev/dxg"
	wslLibs   = "/usr/lib/wsl/lib"     // what belongs to no single driver
	wslStores = "/usr/lib/wsl/drivers" // a directory for each driver that Windows ever had
)

// wsl describes the driver of Windows.
func (h view) wsl() (*Driver, error) {
	found, _ := filepath.Glob(h.path(wslStores) + "/*/libcuda.so.1.1")
	if len(found) == 0 {
		return nil, &host.Missing{What: "this is WSL, and Windows has no NVIDIA driver for it (no libcuda.so.1.1 below " + wslStores + ")",
			Remedy: "install NVIDIA's driver on Windows, then restart WSL: `wsl --shutdown`"}
	}
	d := &Driver{Platform: "WSL", host: h, store: path.Dir(found[0])}
	if len(found) == 1 {
		return d, nil
	}
	// The loader of the driver in use is copied to where programs look for libcuda.
	used, _ := os.ReadFile(h.path(wslLibs + "/libcuda.so.1.1"))
	if i := slices.IndexFunc(found, func(f string) bool {
		loader, err := os.ReadFile(path.Join(path.Dir(f), "libcuda_loader.so"))
		return err == nil && len(used) > 0 && bytes.Equal(loader, used)
	}); i >= 0 {
		d.store = path.Dir(found[i])
		return d, nil
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return modified(a).Compare(modified(b)) })
	d.store = path.Dir(newest)
	d.Notices = []string{"Windows has several NVIDIA drivers for WSL; the newest is taken: " + path.Base(d.store)}
	return d, nil
}

// wslFiles are the files of a driver in its store that a container gets.
var wslFiles = []string{"*.so*", "*.bin", "*.dll", "nvidia-smi"}

// wslSpec describes it as a CDI spec, which has but one device.
func (d *Driver) wslSpec(complete bool) *specs.Spec {
	root := strings.TrimSuffix(d.host.path("/"), "/")
	store := strings.TrimPrefix(d.store, root)
	var files []driverFile
	var links []string
	for _, name := range named(d.store, wslFiles...) {
		f := driverFile{host: path.Join(d.store, name), container: path.Join(store, name)}
		if soname, native := librarySoname(f.host); complete && native && soname != "" && soname != name && !strings.Contains(name, "_loader") {
			links = append(links, name+"::"+path.Join(store, soname))
		}
		files = append(files, f)
	}
	if lib := wslLibs + "/libdxcore.so"; exists(root + lib) {
		files = append(files, driverFile{host: root + lib, container: lib})
	}
	if exists(path.Join(d.store, "nvidia-smi")) {
		links = append(links, path.Join(store, "nvidia-smi")+"::/usr/bin/nvidia-smi")
	}
	return &specs.Spec{Kind: nvidiaKind, Devices: []specs.Device{{Name: "all", ContainerEdits: d.nodes([]string{wslNode})}}, ContainerEdits: specs.ContainerEdits{
		Env: []string{visibleVoid}, Mounts: fileMounts(files), Hooks: []*specs.Hook{
			nvidiaHookCall("create-symlinks", "--link", links), nvidiaHookCall("update-ldcache", "--folder", []string{store, wslLibs})}}}
}
