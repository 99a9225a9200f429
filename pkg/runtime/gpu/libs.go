// This file finds the driver's libraries. The loader's cache names directories (ldcache.go), and no
// more: it may be of another driver, and many hosts of containers have none. So all directories are searched in which distributions
// put such libraries, too.

package gpu

import (
	"bufio"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
	"github.com/gbuild/gbuild/pkg/runtime/host"
	"github.com/gbuild/gbuild/pkg/runtime/rootedit"
)

// driverFile is one file of the driver: where it is on the host and where a container finds it.
type driverFile struct {
	host, container string
	soname          string // the name by which programs ask for a library; "" where it has none
	links           bool   // the host has a link of that name beside it
	plain           string // the name without a version that the host has for it, or "" where it has none
	writable        bool   // a socket, or a directory of them
}

// driverLibraries is where the libraries of one driver version lie.
type driverLibraries struct {
	version string
	root    string // host path of the driver root, "" for the root directory
	dir     string // the directory of libcuda, below root
}

// nvidiaBinDir is where images of NVIDIA's look for the driver's programs.
const nvidiaBinDir = "/usr/local/nvidia/bin"

// libraryDirs are the places that distributions, GKE, NixOS, Bottlerocket, Talos and container images put driver libraries in. What
// /etc/ld.so.conf names comes before them.
func libraryDirs() []string {
	triplet := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[goruntime.GOARCH]
	return []string{
		"/usr/lib/" + triplet, "/usr/lib/" + triplet + "/nvidia/current", "/usr/lib64", "/usr/lib64/nvidia", "/usr/lib",
		"/lib/" + triplet, "/lib64", rootedit.NvidiaLibraryDir, "/usr/local/nvidia/lib", "/run/opengl-driver/lib",
		"/home/kubernetes/bin/nvidia/lib64", "/opt/nvidia/lib64", "/usr/lib/nvidia/tesla", "/usr/local/lib",
	}
}

// nativeMachine is the processor that a library must be made for.
var nativeMachine = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[goruntime.GOARCH]

// searchDirs lists the directories below a driver root in which libraries may be, each existing one once, those of the user first.
func (h view) searchDirs(root string) []string {
	given := make([]string, len(h.place.LibraryDirs))
	for i, d := range h.place.LibraryDirs {
		given[i] = "/" + strings.Trim(strings.TrimPrefix(h.path(d), root), "/")
	}
	dirs := slices.Concat(given, cachedDirs(root), loaderDirs(root, "/etc/ld.so.conf", 0), libraryDirs())
	var out []string
	var seen []fs.FileInfo
	for _, d := range dirs {
		st, err := os.Stat(root + d)
		if err != nil || !st.IsDir() || slices.ContainsFunc(seen, func(s fs.FileInfo) bool { return os.SameFile(s, st) }) {
			continue
		}
		seen = append(seen, st)
		// Where /lib is a link to /usr/lib the loader's cache has either, and a container is to have the one that the driver's packages name.
		if usr, err := os.Stat(root + "/usr" + d); err == nil && os.SameFile(st, usr) {
			d = "/usr" + d
		}
		out = append(out, filepath.Clean(d))
	}
	return out
}

// loaderDirs reads the directories of an ld.so.conf, following its includes.
func loaderDirs(root, file string, depth int) []string {
	f, err := os.Open(root + file)
	if err != nil || depth > 4 {
		return nil
	}
	defer f.Close()
	var out []string
	for s := bufio.NewScanner(f); s.Scan(); {
		line, _, _ := strings.Cut(s.Text(), "#")
		fields := strings.Fields(line)
		switch {
		case len(fields) == 2 && fields[0] == "include":
			pattern := fields[1]
			if !path.IsAbs(pattern) {
				pattern = path.Join(path.Dir(file), pattern)
			}
			found, _ := filepath.Glob(root + pattern)
			for _, g := range found {
				out = append(out, loaderDirs(root, strings.TrimPrefix(g, root), depth+1)...)
			}
		case len(fields) == 1 && path.IsAbs(fields[0]):
			out = append(out, fields[0])
		}
	}
	return out
}

// libcudaFile is the file by which a driver's version is known: others come from other packages, too.
var libcudaFile = lazyregexp.New(`^libcuda\.so\.([0-9]+\.[0-9.]+)$`)

// libraries finds the directory of libcuda for a driver version; with "" the first one found tells the version.
func (h view) libraries(version string) (driverLibraries, error) {
	var others []string
	for _, root := range h.driverRoots() {
		for _, dir := range h.searchDirs(root) {
			for _, name := range libcudas(root+dir, version) {
				m := libcudaFile().FindStringSubmatch(name)
				if m == nil || slices.Contains(others, m[1]) {
					continue
				}
				if _, native := librarySoname(path.Join(root+dir, name)); !native {
					continue
				}
				if version == "" || m[1] == version {
					return driverLibraries{m[1], root, dir}, nil
				}
				others = append(others, m[1])
			}
		}
	}
	if others != nil {
		return driverLibraries{}, &host.Missing{
			What:   fmt.Sprintf("the kernel runs NVIDIA driver %s, but the libraries installed are %s", version, strings.Join(others, ", ")),
			Remedy: "the driver was updated while it ran: reboot, or reload its kernel modules"}
	}
	return driverLibraries{}, &host.Missing{
		What:   "no libcuda.so of NVIDIA driver " + version + " was found",
		Remedy: "install the driver's libraries, or say where they are: --library-dir DIR, or --driver-root DIR for a driver below DIR"}
}

// libcudas lists the names of libcuda in a directory: the one of a version where it is there, else all that there are.
func libcudas(dir, version string) []string {
	if name := "libcuda.so." + version; version != "" && exists(path.Join(dir, name)) {
		return []string{name}
	}
	return named(dir, "libcuda.so.*")
}

// librarySoname reads the SONAME of a library, and whether it is one for this machine. 32-bit libraries are not.
func librarySoname(file string) (soname string, native bool) {
	soname, bits := readLibrary(file)
	return soname, bits == 64
}

// readLibrary reads the SONAME of a library, and for which programs it is: those of this machine (64), older ones with 32 bits that it executes
// too, or none (0).
func readLibrary(file string) (soname string, bits int) {
	f, err := elf.Open(file)
	if err != nil {
		return "", 0
	}
	defer f.Close()
	switch {
	case f.Class == elf.ELFCLASS64 && f.Machine == nativeMachine:
		bits = 64
	case f.Class == elf.ELFCLASS32 && f.Machine == elf.EM_386 && nativeMachine == elf.EM_X86_64:
		bits = 32
	default:
		return "", 0
	}
	if names, err := f.DynString(elf.DT_SONAME); err == nil && len(names) > 0 {
		soname = names[0]
	}
	// A SONAME becomes the name of a link in the container.
	if strings.ContainsAny(soname, "/\x00") || soname == "." || soname == ".." {
		soname = ""
	}
	return soname, bits
}

// unversioned are the driver's libraries that carry a version of their own.
var unversioned = []string{"libnvidia-egl-*.so.*.*", "libnvidia-nvvm*.so.4", "libnvidia-nvvm*.so.4.*", "libnvidia-api.so.1"}

// dispatchers are the vendor-neutral libraries of which an image has its own: the host's would bring its glibc
// version along (GLIBC_2.34 not found).
var dispatchers = []string{"libGL.so", "libEGL.so", "libGLX.so", "libOpenGL.so", "libGLdispatch.so", "libGLESv1_CM.so", "libGLESv2.so", "libOpenCL.so"}

// libraryFiles lists the libraries of one driver version, in the order of their container paths.
func (h view) libraryFiles(l driverLibraries) []driverFile {
	dirs := h.searchDirs(l.root)
	// The directory of libcuda decides where several have the same file.
	slices.SortStableFunc(dirs, func(a, b string) int { return rank(a, l.dir) - rank(b, l.dir) })
	versioned := "lib*.so." + l.version
	seen := map[string]bool{}
	var out []driverFile
	take := func(dir string, patterns ...string) {
		for _, base := range named(dir, patterns...) {
			if seen[base] || slices.ContainsFunc(dispatchers, func(d string) bool { return strings.HasPrefix(base, d) }) {
				continue
			}
			if lib, ok := libraryFile(l, path.Join(dir, base), 64); ok {
				seen[base] = true
				out = append(out, lib)
			}
		}
	}
	for i, dir := range dirs {
		take(l.root+dir, append(unversionedIn(i), versioned)...)
		take(l.root+dir+"/vdpau", versioned)
	}
	slices.SortFunc(out, func(a, b driverFile) int { return strings.Compare(a.container, b.container) })
	return out
}

// compat32Dir is where a container finds the driver's libraries for programs with 32 bits, whose names those with 64 have as well.
const compat32Dir = "/usr/local/nvidia/lib32"

// compat32Files lists the libraries of one driver version for programs with 32 bits, from where distributions keep such.
func compat32Files(l driverLibraries) []driverFile {
	var out []driverFile
	seen := map[string]bool{}
	for _, dir := range []string{"/usr/lib/i386-linux-gnu", "/usr/lib32", "/usr/lib", "/lib/i386-linux-gnu"} {
		for _, base := range named(l.root+dir, "lib*.so."+l.version) {
			if lib, ok := libraryFile(l, path.Join(l.root+dir, base), 32); ok && !seen[base] {
				seen[base] = true
				lib.container = path.Join(compat32Dir, base)
				out = append(out, lib)
			}
		}
	}
	return out
}

// named lists what of a directory has a name by one of the patterns, sorted. The directory is read once: it may have thousands of files.
func named(dir string, patterns ...string) []string {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	names = slices.DeleteFunc(names, func(name string) bool {
		return !slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
	})
	slices.Sort(names)
	return names
}

// matches is path.Match for patterns with stars only, which looks at both ends of a name first: most names differ there.
func matches(pattern, name string) bool {
	first, last := strings.IndexByte(pattern, '*'), strings.LastIndexByte(pattern, '*')
	if first < 0 {
		return name == pattern
	}
	if !strings.HasPrefix(name, pattern[:first]) || !strings.HasSuffix(name, pattern[last+1:]) {
		return false
	}
	ok, _ := path.Match(pattern, name)
	return ok
}

// unversionedIn gives the patterns of libraries with their own versions for libcuda's directory alone: in others they
// may be left over from another driver.
func unversionedIn(i int) []string {
	if i == 0 {
		return slices.Clone(unversioned)
	}
	return nil
}

// rank puts one directory before all others.
func rank(dir, first string) int {
	if dir == first {
		return 0
	}
	return 1
}

// libraryFile describes one library; false where the file is none for programs with so many bits.
func libraryFile(l driverLibraries, file string, bits int) (driverFile, bool) {
	// A link such as libnvidia-egl-gbm.so.1 would come twice: its target is found by itself.
	if st, err := os.Lstat(file); err != nil || !st.Mode().IsRegular() && !strings.HasSuffix(file, l.version) {
		return driverFile{}, false
	}
	soname, of := readLibrary(file)
	if of != bits {
		return driverFile{}, false
	}
	lib := driverFile{host: file, container: containerLibrary(strings.TrimPrefix(file, l.root)), soname: soname}
	dir, base := filepath.Split(file)
	if name, _, _ := strings.Cut(base, ".so"); isLink(dir + name + ".so") {
		lib.plain = name + ".so"
	}
	lib.links = isLink(dir + soname)
	return lib, true
}

// isLink says whether a file is a symbolic link.
func isLink(file string) bool {
	st, err := os.Lstat(file)
	return err == nil && st.Mode()&fs.ModeSymlink != 0
}

// containerLibrary keeps the path of a library in directories that images have or may have; from any other place it
// goes to where NVIDIA's own images look.
func containerLibrary(file string) string {
	for _, p := range []string{"/usr/lib", "/lib", "/usr/local/nvidia/"} {
		if strings.HasPrefix(file, p) {
			return file
		}
	}
	return path.Join(rootedit.NvidiaLibraryDir, path.Base(file))
}
