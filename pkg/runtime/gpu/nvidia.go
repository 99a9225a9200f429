// This file owns what is special about NVIDIA's driver: where its files go in a container, and what NVIDIA's hooks would do,
// as data.

package gpu

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/rootedit"
)

// layerlessDir is a tmpfs over which a RUN gets the driver, so that its layer does not.
const layerlessDir = "/run/gbuild/nvidia"

// place decides where a file of NVIDIA's driver goes in the container, "" for nowhere, and makes it reachable under
// /usr/local/nvidia too: images of NVIDIA's have that in their search paths, so they work without a loader's cache.
func (in *injection) place(target, host string) string {
	base := path.Base(target)
	lib := strings.HasPrefix(base, "lib") && strings.Contains(base, ".so")
	prog := path.Base(path.Dir(target)) == "bin"
	if !lib && !prog {
		if in.options.Layerless {
			return ""
		}
		return target
	}
	in.edits.Root.Glibc = true
	dir := in.searchDir(lib)
	if path.Dir(target) == compat32Dir {
		in.compat32 = true
		dir = in.searchDir32()
	}
	if in.options.Layerless {
		target = path.Join(dir, base)
	}
	if path.Dir(target) != dir {
		in.link(target, path.Join(dir, base))
	}
	if !lib {
		return target
	}
	in.edits.Root.Libraries = append(in.edits.Root.Libraries, target)
	if in.complete {
		return target
	}
	// NVIDIA leaves these links to its ldconfig.
	if soname, ok := librarySoname(host); ok && soname != "" && soname != base {
		in.link(base, path.Join(dir, soname))
		in.link(base, path.Join(path.Dir(target), soname))
	}
	return target
}

// wants says whether the container uses a file of the driver.
func (in *injection) wants(file string) bool {
	return fileCaps(file)&in.caps != 0 && (in.caps&capCompat32 != 0 || path.Dir(file) != compat32Dir)
}

// searchDir32 is the directory in which a container finds libraries for programs with 32 bits.
func (in *injection) searchDir32() string {
	if in.options.Layerless {
		return layerlessDir + "/lib32"
	}
	return compat32Dir
}

// searchDir is the directory in which a container finds libraries, or programs.
func (in *injection) searchDir(lib bool) string {
	switch {
	case in.options.Layerless && lib:
		return layerlessDir + "/lib64"
	case in.options.Layerless:
		return layerlessDir + "/bin"
	case lib:
		return rootedit.NvidiaLibraryDir
	}
	return nvidiaBinDir
}

// nvidiaCall recognises `nvidia-cdi-hook NAME FLAGS` and `nvidia-ctk hook NAME FLAGS`.
func nvidiaCall(h *specs.Hook) (name string, flags map[string][]string, ok bool) {
	var args []string
	if len(h.Args) > 0 {
		args = h.Args[1:]
	}
	switch path.Base(h.Path) {
	case "nvidia-cdi-hook":
	case "nvidia-ctk":
		if len(args) == 0 || args[0] != "hook" {
			return "", nil, false
		}
		args = args[1:]
	default:
		return "", nil, false
	}
	if len(args) == 0 {
		return "", nil, true
	}
	flags = map[string][]string{}
	for i := 1; i < len(args); i++ {
		key, val, has := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		if !has && i+1 < len(args) {
			i++
			val = args[i]
		}
		flags[key] = append(flags[key], val)
	}
	return args[0], flags, true
}

// nvidiaHook turns one call of NVIDIA's hook into data.
func (in *injection) nvidiaHook(name string, flags map[string][]string) error {
	switch name {
	case "create-symlinks":
		return in.symlinks(flags["link"])
	case "update-ldcache":
		return in.folders(flags["folder"])
	case "enable-cuda-compat", "cudacompat":
		in.edits.Root.Compat = rootedit.Compat{Driver: last(flags["host-driver-version"]), CUDA: last(flags["host-cuda-version"]), Dir: last(flags["cuda-compat-container-root"])}
	case "update-application-profile":
		in.profile = in.caps&capsDraw != 0 && !in.options.Layerless
	case "apply-cuda-memory-limits":
		for _, v := range []string{"NVIDIA_GPU_MEMORY_LIMIT", "NVIDIA_GPU_MEMORY_REQUEST"} {
			if set, _ := lastEnv(in.options.Env, v); set != "" {
				in.notice("%s=%s is left out: it needs control groups of the host's root", v, set)
			}
		}
	case "disable-device-node-modification", "chmod":
		// A sandbox in a user namespace cannot make nodes, so there is nothing to forbid; modes of bound nodes are the host's.
	default:
		in.notice("NVIDIA's hook %q is not known to gbuild and is left out", name)
	}
	return nil
}

// last is the value of a flag that was given, or "".
func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// symlinks takes links as target::path, those of files that the container has.
func (in *injection) symlinks(links []string) error {
	for _, l := range links {
		target, p, ok := strings.Cut(l, "::")
		if !ok || target == "" {
			return fmt.Errorf("link %.80q is not target::path", l)
		}
		if err := checkTarget(p); err != nil {
			return fmt.Errorf("link: %w", err)
		}
		p = path.Clean(p)
		if !in.wants(p) || fileCaps(target)&in.caps == 0 {
			continue
		}
		dir, base := in.searchDir(true), path.Base(p)
		if path.Dir(p) == compat32Dir {
			dir = in.searchDir32()
		}
		if !in.options.Layerless {
			in.link(target, p)
		}
		if strings.HasPrefix(base, "lib") && path.Dir(p) != dir {
			in.link(path.Base(target), path.Join(dir, base))
		}
	}
	return nil
}

// folders takes directories that the loader is to know.
func (in *injection) folders(dirs []string) error {
	for _, d := range dirs {
		if err := checkTarget(d); err != nil {
			return fmt.Errorf("library directory: %w", err)
		}
		// A character that a line of ld.so.conf cannot hold has no place in a path of libraries either.
		if strings.ContainsAny(d, "\n\t #:,;=") {
			return fmt.Errorf("library directory %q has a character that the loader's configuration cannot hold", d)
		}
		if d = path.Clean(d); !slices.Contains(in.edits.Root.LibraryDirs, d) {
			in.edits.Root.LibraryDirs = append(in.edits.Root.LibraryDirs, d)
		}
	}
	return nil
}

// eglProfile is a setting of the driver by which EGL and Vulkan see the GPUs alone whose nodes are there.
func (in *injection) eglProfile() {
	var mask uint64
	for _, d := range in.edits.Devices {
		if m := gpuNode().FindStringSubmatch(path.Base(d.Target)); m != nil && path.Dir(d.Target) == "/dev" {
			if n, err := strconv.Atoi(m[1]); err == nil && n < 64 {
				mask |= 1 << n
			}
		}
	}
	if in.profile && mask != 0 {
		in.edits.Root.Files = append(in.edits.Root.Files, rootedit.File{Path: "/etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf", Text: fmt.Sprintf(
			`{"profiles":[{"name":"_container_","settings":["EGLVisibleDGPUDevices",0x%x]}],"rules":[{"pattern":[],"profile":"_container_"}]}`, mask)})
	}
}

// finishNVIDIA sets the search paths, and in a RUN takes back what would reach the layer.
func (in *injection) finishNVIDIA() {
	if !in.edits.Root.Glibc {
		return
	}
	in.eglProfile()
	lib, bin := in.searchDir(true), in.searchDir(false)
	in.appendPath("LD_LIBRARY_PATH", "", lib)
	if in.compat32 {
		in.appendPath("LD_LIBRARY_PATH", "", in.searchDir32())
	}
	in.appendPath("PATH", runtime.DefaultPath, bin)
	if in.options.Layerless {
		in.appendPath("LIBRARY_PATH", "", lib)
		in.edits.Root.Libraries, in.edits.Root.LibraryDirs, in.edits.Root.Compat = nil, nil, rootedit.Compat{}
		tmpfs := runtime.DeviceMount{Target: layerlessDir, Type: "tmpfs", Options: []string{"nosuid", "nodev", "mode=0755"}}
		in.edits.Mounts = slices.Insert(in.edits.Mounts, 0, tmpfs)
	}
	// Links before what they name would hide nothing, but a stable order keeps two runs alike.
	slices.SortStableFunc(in.edits.Root.Links, func(a, b rootedit.Link) int { return strings.Compare(a.Path, b.Path) })
}
