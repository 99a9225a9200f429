package gpu

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/gbuild/gbuild/pkg/runtime"
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
		if in.Layerless {
			return ""
		}
		return target
	}
	in.Root.Glibc = true
	dir := in.searchDir(lib)
	if in.Layerless {
		target = path.Join(dir, base)
	}
	if path.Dir(target) != dir {
		in.link(target, path.Join(dir, base))
	}
	if !lib {
		return target
	}
	if soname, ok := librarySoname(host); ok && soname != "" && soname != base {
		in.link(base, path.Join(dir, soname))
	}
	return target
}

func (in *injection) searchDir(lib bool) string {
	switch {
	case in.Layerless && lib:
		return layerlessDir + "/lib64"
	case in.Layerless:
		return layerlessDir + "/bin"
	case lib:
		return runtime.NvidiaLibraryDir
	}
	return nvidiaBinDir
}

func (in *injection) link(target, p string) {
	in.Root.Links = slices.DeleteFunc(in.Root.Links, func(l runtime.RootLink) bool { return l.Path == p })
	in.Root.Links = append(in.Root.Links, runtime.RootLink{Target: target, Path: p})
}

// hook takes a hook: NVIDIA's own are turned into data, others stay programs.
func (in *injection) hook(h *specs.Hook) error {
	if name, flags, ok := nvidiaCall(h); ok {
		return in.nvidiaHook(name, flags)
	}
	if h.HookName == "startContainer" {
		// Its path is one of the container, where it runs with the container's own rights.
		if err := checkPath(h.Path); err != nil {
			return fmt.Errorf("hook: %w", err)
		}
	} else if err := in.checkHook(h.Path); err != nil {
		return err
	}
	if in.Layerless {
		in.notice("the hook %s may write into the layer of this step", h.Path)
	}
	d := runtime.DeviceHook{When: h.HookName, Path: h.Path, Args: h.Args, Env: h.Env}
	if len(d.Env) == 0 {
		// Not nil: a runtime gives such hooks the image's environment, and with it LD_PRELOAD (CVE-2025-23266).
		d.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	}
	if h.Timeout != nil {
		d.Timeout = time.Duration(*h.Timeout) * time.Second
	}
	in.Hooks = append(in.Hooks, d)
	return nil
}

// checkHook holds a program that a spec names against the directories where vendors install theirs.
func (in *injection) checkHook(p string) error {
	if err := checkPath(p); err != nil {
		return fmt.Errorf("hook: %w", err)
	}
	real, err := filepath.EvalSymlinks(p)
	if err != nil {
		return &Error{fmt.Sprintf("hook %s of the CDI spec cannot be run: %v", p, errors.Unwrap(err)), "install the vendor's container tools, or write the spec again"}
	}
	st, err := os.Stat(real)
	if err != nil {
		return fmt.Errorf("reading hook: %w", err)
	}
	inside := slices.ContainsFunc(in.hookDirs, func(d string) bool {
		dir, err := filepath.EvalSymlinks(d)
		return err == nil && strings.HasPrefix(real, strings.TrimSuffix(dir, "/")+"/")
	})
	if !inside {
		return &Error{fmt.Sprintf("hook %s of the CDI spec is outside the directories of hooks (%s)", p, strings.Join(in.hookDirs, ", ")),
			"install it there: a hook runs with the rights of the sandbox"}
	}
	if !st.Mode().IsRegular() || st.Mode().Perm()&0o111 == 0 || st.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("hook %s of the CDI spec is not a program that only its owner can write", p)
	}
	return nil
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

func (in *injection) nvidiaHook(name string, flags map[string][]string) error {
	switch name {
	case "create-symlinks":
		return in.symlinks(flags["link"])
	case "update-ldcache":
		return in.folders(flags["folder"])
	case "enable-cuda-compat", "cudacompat":
		if v := flags["host-driver-version"]; len(v) > 0 {
			in.Root.CompatVersion = v[0]
		}
	case "disable-device-node-modification", "chmod", "update-application-profile", "apply-cuda-memory-limits":
		// A sandbox in a user namespace cannot make nodes, so there is nothing to forbid; modes of bound nodes are the
		// host's; the last two are for drawing and for limits that nobody has set.
	default:
		in.notice("NVIDIA's hook %q is not known to gbuild and is left out", name)
	}
	return nil
}

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
		if fileCaps(p)&in.caps == 0 || fileCaps(target)&in.caps == 0 {
			continue
		}
		dir, base := in.searchDir(true), path.Base(p)
		if !in.Layerless {
			in.link(target, p)
		}
		if strings.HasPrefix(base, "lib") && path.Dir(p) != dir {
			in.link(path.Base(target), path.Join(dir, base))
		}
	}
	return nil
}

func (in *injection) folders(dirs []string) error {
	for _, d := range dirs {
		if err := checkTarget(d); err != nil {
			return fmt.Errorf("library directory: %w", err)
		}
		// What a line of ld.so.conf cannot hold has no place in a path of libraries either.
		if strings.ContainsAny(d, "\n\t #:,;=") {
			return fmt.Errorf("library directory %q has a character that the loader's configuration cannot hold", d)
		}
		if d = path.Clean(d); !slices.Contains(in.Root.LibraryDirs, d) {
			in.Root.LibraryDirs = append(in.Root.LibraryDirs, d)
		}
	}
	return nil
}

// finishNVIDIA sets the search paths, and in a RUN takes back what would reach the layer.
func (in *injection) finishNVIDIA() {
	if !in.Root.Glibc {
		return
	}
	lib, bin := in.searchDir(true), in.searchDir(false)
	in.appendPath("LD_LIBRARY_PATH", "", lib)
	in.appendPath("PATH", runtime.DefaultPath, bin)
	if in.Layerless {
		in.appendPath("LIBRARY_PATH", "", lib)
		in.Root.LibraryDirs, in.Root.CompatVersion = nil, ""
		tmpfs := runtime.DeviceMount{Target: layerlessDir, Type: "tmpfs", Options: []string{"nosuid", "nodev", "mode=0755"}}
		in.Mounts = slices.Insert(in.Mounts, 0, tmpfs)
	}
	// Links before what they name would hide nothing, but a stable order keeps two runs alike.
	slices.SortStableFunc(in.Root.Links, func(a, b runtime.RootLink) int { return strings.Compare(a.Path, b.Path) })
}

func (in *injection) appendPath(key, unset, dir string) {
	have, _ := lastEnv(slices.Concat(in.InjectOptions.Env, in.Edits.Env), key)
	have = cmp.Or(have, unset)
	if !slices.Contains(strings.Split(have, ":"), dir) {
		in.setEnv(key + "=" + strings.TrimPrefix(have+":"+dir, ":"))
	}
}
