package gpu

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gbuild/gbuild/pkg/runtime/ldcache"
)

// loaderCache is a cache as ldconfig would write it.
func loaderCache(t *testing.T, libraries ...ldcache.Library) []byte {
	t.Helper()
	text, err := (&ldcache.Cache{Libraries: libraries}).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestLoaderCache(t *testing.T) {
	native := ldcache.NativeFlags
	text := loaderCache(t,
		ldcache.Library{Flags: native, Name: "libc.so.6", Path: "/usr/lib/libc.so.6"},
		ldcache.Library{Flags: ldcache.FlagsX86, Name: "libcuda.so.1", Path: "/usr/lib32/libcuda.so.1"},
		ldcache.Library{Flags: 0x0803, Name: "libcuda.so.1", Path: "/usr/libx32/libcuda.so.1"},
		ldcache.Library{Flags: native, Name: "libcuda.so.1", Path: "/opt/odd/driver/libcuda.so.1"},
		ldcache.Library{Flags: native, Name: "libnvidia-ml.so.1", Path: "/opt/odd/driver/libnvidia-ml.so.1"},
		ldcache.Library{Flags: native, Name: "libnvidia-cfg.so.1", Path: "/opt/other/libnvidia-cfg.so.1"},
		ldcache.Library{Flags: native, Name: "libcuda.so", Path: "relative/libcuda.so"},
	)
	want := []string{"/opt/odd/driver", "/opt/other"}
	if got := cachedDirs(newFakeRoot(t).file("/etc/ld.so.cache", string(text)).dir); !slices.Equal(got, want) {
		t.Errorf("directories %q, want %q", got, want)
	}
	// A cache may be cut anywhere, and may name what it has not.
	for n := range text {
		if got := driverDirs(text[:n]); got != nil {
			t.Errorf("directories of a cache that is cut to %d bytes: %q", n, got)
		}
		broken := slices.Clone(text)
		broken[n] ^= 0xff
		driverDirs(broken)
	}
	if got := cachedDirs(newFakeRoot(t).file("/etc/ld.so.cache", "no cache").dir); got != nil {
		t.Errorf("directories of no cache: %q", got)
	}
}

// TestDriverPlaces finds a driver where no list of directories has it: by the loader's cache, or where the user says.
func TestDriverPlaces(t *testing.T) {
	const odd = "/var/odd/lib"
	for name, c := range map[string]struct {
		fill  func(*fakeRoot)
		place Place
		want  string // the directory of libcuda, below the root
		node  string // the first GPU's node; "" is that of the host
	}{
		"cache": {func(r *fakeRoot) {
			r.driver(v580, odd).file("/etc/ld.so.cache", string(loaderCache(t, ldcache.Library{Flags: ldcache.NativeFlags, Name: "libcuda.so.1", Path: odd + "/libcuda.so.1"})))
		}, Place{}, odd, ""},
		"library dir": {func(r *fakeRoot) { r.driver(v580, odd).driver(v580, debianLibs) }, Place{LibraryDirs: []string{odd}}, odd, ""},
		"COS":         {func(r *fakeRoot) { r.driver(v580, "/home/kubernetes/bin/nvidia/lib64") }, Place{Root: "/home/kubernetes/bin/nvidia"}, "/home/kubernetes/bin/nvidia/lib64", ""},
		"operator": {func(r *fakeRoot) {
			r.driver(v580, "/run/nvidia/driver/usr/lib/x86_64-linux-gnu").nodes("/run/nvidia/driver/dev/nvidia7").driver("550.1", debianLibs)
		}, Place{Root: "/run/nvidia/driver"}, "/run/nvidia/driver" + debianLibs, ""},
		"nodes below the root": {func(r *fakeRoot) {
			r.driver(v580, "/srv/driver"+debianLibs).nodes("/srv/driver/dev/nvidia0")
			_ = os.Remove(filepath.Join(r.dir, "dev/nvidia0"))
		}, Place{Root: "/srv/driver/"}, "/srv/driver" + debianLibs, "/srv/driver/dev/nvidia0"},
		"Bottlerocket": {func(r *fakeRoot) {
			sys := "/x86_64-bottlerocket-linux-gnu/sys-root/usr/lib"
			r.driver(v580, sys+"/nvidia/tesla").link(r.dir+sys, "/usr/lib")
		}, Place{}, "/usr/lib/nvidia/tesla", ""},
		"Talos":                            {func(r *fakeRoot) { r.driver(v580, "/usr/local/glibc/usr/lib") }, Place{}, "/usr/local/glibc/usr/lib", ""},
		"a root and a directory elsewhere": {func(r *fakeRoot) { r.driver(v580, "/srv/driver/odd") }, Place{Root: "/srv/driver", LibraryDirs: []string{"/srv/driver/odd"}}, "/srv/driver/odd", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newFakeRoot(t).loaded(v580).gpu("0000:1b:00.0", 0, uuidA, "NVIDIA H100")
			c.fill(r)
			h := r.host()
			h.place = c.place
			spec := specOf(t, h)
			var got string
			for _, m := range spec.ContainerEdits.Mounts {
				if filepath.Base(m.HostPath) == "libcuda.so."+v580 {
					got = m.HostPath
				}
			}
			if want := r.dir + c.want + "/libcuda.so." + v580; got != want {
				t.Errorf("libcuda is %s, want %s", got, want)
			}
			node := spec.Devices[0].ContainerEdits.DeviceNodes[0]
			if want := r.dir + cmp.Or(c.node, "/dev/nvidia0"); node.Path != "/dev/nvidia0" || node.HostPath != want {
				t.Errorf("node %s of %s, want %s", node.Path, node.HostPath, want)
			}
		})
	}
}
