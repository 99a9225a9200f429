// This file owns NVIDIA_DRIVER_CAPABILITIES: which there are, and which files of the driver each needs. An image that computes needs no
// libraries for drawing, and a container that lacks them starts sooner.

package gpu

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// driverCaps is a set of NVIDIA_DRIVER_CAPABILITIES.
type driverCaps uint8

const (
	capCompute driverCaps = 1 << iota
	capUtility
	capVideo
	capGraphics
	capDisplay
	capNGX
	capCompat32
	capsAll     = 1<<iota - 1
	capsDefault = capCompute | capUtility
	capsDraw    = capGraphics | capDisplay
)

var capNames = []string{"compute", "utility", "video", "graphics", "display", "ngx", "compat32"}

// capsOf are the capabilities that an environment asks for. Images from before the variable get all of them.
func capsOf(env []string) (driverCaps, error) {
	value, set := lastEnv(env, "NVIDIA_DRIVER_CAPABILITIES")
	if !set && isOldImage(env) {
		return capsAll, nil
	}
	return parseDriverCaps(value)
}

// parseDriverCaps reads NVIDIA_DRIVER_CAPABILITIES as NVIDIA's runtime does: empty means utility,compute.
func parseDriverCaps(value string) (driverCaps, error) {
	if value == "" {
		return capsDefault, nil
	}
	var set driverCaps
	var unknown []string
	for f := range strings.SplitSeq(value, ",") {
		f = strings.TrimSpace(f)
		i := slices.Index(capNames, f)
		switch {
		case f == "":
		case f == "all":
			set |= capsAll
		case i < 0:
			unknown = append(unknown, f)
		default:
			set |= 1 << i
		}
	}
	if unknown != nil && set != capsAll {
		return 0, &Error{
			fmt.Sprintf("unsupported capabilities found in '%s' (allowed '%s')", strings.Join(unknown, ","), strings.Join(capNames, ",")),
			"mend NVIDIA_DRIVER_CAPABILITIES, or give another value with -e"}
	}
	return set, nil
}

// DriverCapabilities gives the value of NVIDIA_DRIVER_CAPABILITIES that the request's capabilities ask for, or "" where
// they leave the choice to the image: gpu alone does, and so does a vendor's own word.
func (r Request) DriverCapabilities() string {
	var out []string
	for _, c := range r.Capabilities {
		if slices.Contains(capNames, c) {
			out = append(out, c)
		}
	}
	return strings.Join(out, ",")
}

// libraryClasses tells which capabilities need a driver library, by the start of its name. The first match counts;
// the classes are those of libnvidia-container (nvc_info.c).
var libraryClasses = []struct {
	prefix string
	caps   driverCaps
}{
	{"libcuda.", capCompute},
	{"libcuda_loader.", capCompute},
	{"nvcubins.", capCompute},
	{"libnvidia-ml_loader.", capUtility},
	{"libdxcore.", capsAll},
	{"libnvdxgdmal.", capsAll},
	{"libcudadebugger.", capCompute},
	{"libnvidia-opencl", capCompute},
	{"libnvidia-nvvm", capCompute},
	{"libnvidia-tileiras", capCompute},
	{"libnvidia-compiler", capCompute},
	{"libnvidia-fatbinaryloader", capCompute},
	{"libnvidia-pkcs11", capCompute},
	{"libnvidia-sandboxutils", capCompute | capUtility},
	{"libnvidia-ptxjitcompiler", capCompute | capsDraw},
	{"libnvidia-gpucomp", capCompute | capsDraw},
	{"libnvidia-allocator", capCompute | capsDraw},
	{"libnvidia-ml.", capUtility},
	{"libnvidia-cfg.", capUtility},
	{"libnvidia-nscq.", capUtility},
	{"libnvcuvid.", capVideo},
	{"libnvidia-encode.", capVideo},
	{"libnvidia-opticalflow.", capVideo},
	{"libvdpau_nvidia.", capVideo},
	{"libnvidia-ngx.", capNGX},
	{"libnvidia-", capsDraw},
	{"libnvoptix.", capsDraw},
	{"nvidia-drm_gbm.", capsDraw},
	{"nvidia_drv.", capsDraw},
	{"nvidia-xconfig", capsDraw},
	{"libglxserver_nvidia.", capsDraw},
	{"libGLX_nvidia.", capsDraw},
	{"libEGL_nvidia.", capsDraw},
	{"libGLESv1_CM_nvidia.", capsDraw},
	{"libGLESv2_nvidia.", capsDraw},
	{"lib", capCompute | capVideo | capsDraw},
	{"nvidia-smi", capUtility},
	{"nvidia-debugdump", capUtility},
	{"nvidia-persistenced", capUtility},
	{"nvidia-cuda-mps-", capCompute},
	{"nvidia-imex", capCompute},
	{"nvidia.icd", capCompute},
	{"nvoptix.bin", capsDraw},
}

// fileCaps gives the capabilities that need a file of the driver. Files of no known class (sockets, firmware) belong
// to every one; descriptions for graphics loaders (*.json) and for the X server (*.conf) are for drawing.
func fileCaps(file string) driverCaps {
	base := path.Base(file)
	for _, c := range libraryClasses {
		if strings.HasPrefix(base, c.prefix) {
			return c.caps
		}
	}
	if ext := path.Ext(base); ext == ".json" || ext == ".conf" {
		return capsDraw
	}
	return capsAll
}

// lastEnv gives the value of a variable in a list of KEY=VALUE, of which the last counts.
func lastEnv(env []string, key string) (string, bool) {
	for _, e := range slices.Backward(env) {
		if v, ok := strings.CutPrefix(e, key+"="); ok {
			return v, true
		}
	}
	return "", false
}
