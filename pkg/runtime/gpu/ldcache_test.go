package gpu

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// cacheEntry is a library of a made-up cache.
type cacheEntry struct {
	flags      uint32
	name, file string
}

// newFormat writes a cache as glibc 2.2 and newer do.
func newFormat(entries []cacheEntry) []byte {
	var head, names bytes.Buffer
	head.Write(newCacheMagic)
	base := newHeader + newEntry*len(entries)
	add := func(s string) uint32 {
		at := base + names.Len()
		names.WriteString(s + "\x00")
		return uint32(at)
	}
	var table bytes.Buffer
	for _, e := range entries {
		_ = binary.Write(&table, binary.NativeEndian, []uint32{e.flags, add(e.name), add(e.file), 0, 0, 0})
	}
	_ = binary.Write(&head, binary.NativeEndian, []uint32{uint32(len(entries)), uint32(names.Len()), 0, 0, 0, 0, 0})
	return slices.Concat(head.Bytes(), table.Bytes(), names.Bytes())
}

// oldFormat writes one as older releases did, and for the sake of old programs newer ones still can.
func oldFormat(entries []cacheEntry) []byte {
	var names, out bytes.Buffer
	out.WriteString("ld.so-1.7.0\x00")
	_ = binary.Write(&out, binary.NativeEndian, uint32(len(entries)))
	for _, e := range entries {
		at := uint32(names.Len())
		names.WriteString(e.name + "\x00" + e.file + "\x00")
		_ = binary.Write(&out, binary.NativeEndian, []uint32{e.flags, at, at + uint32(len(e.name)) + 1})
	}
	return append(out.Bytes(), names.Bytes()...)
}

// both is the older format with the newer one behind its entries, where the names of the older one would be.
func both(entries []cacheEntry) []byte {
	old := oldFormat(entries)[:oldHeader+oldEntry*len(entries)]
	for len(old)%8 != 0 {
		old = append(old, 0)
	}
	return append(old, newFormat(entries)...)
}

func TestLoaderCache(t *testing.T) {
	entries := []cacheEntry{
		{nativeFlags, "libc.so.6", "/usr/lib/libc.so.6"},
		{0x0003, "libcuda.so.1", "/usr/lib32/libcuda.so.1"},
		{0x0803, "libcuda.so.1", "/usr/libx32/libcuda.so.1"},
		{nativeFlags, "libcuda.so.1", "/opt/odd/driver/libcuda.so.1"},
		{nativeFlags, "libnvidia-ml.so.1", "/opt/odd/driver/libnvidia-ml.so.1"},
		{nativeFlags, "libnvidia-cfg.so.1", "/opt/other/libnvidia-cfg.so.1"},
		{nativeFlags, "libcuda.so", "relative/libcuda.so"},
	}
	want := []string{"/opt/odd/driver", "/opt/other"}
	for name, cache := range map[string][]byte{"new": newFormat(entries), "old": oldFormat(entries), "both": both(entries)} {
		r := newFakeRoot(t).file("/etc/ld.so.cache", string(cache))
		if got := cachedDirs(r.dir); !slices.Equal(got, want) {
			t.Errorf("%s: directories %q, want %q", name, got, want)
		}
		// A cache may be cut anywhere, and may name what it has not.
		for n := range cache {
			for range cachedLibraries(cache[:n]) {
				continue
			}
			broken := slices.Clone(cache)
			broken[n] ^= 0xff
			for range cachedLibraries(broken) {
				continue
			}
		}
	}
	if got := cachedDirs(newFakeRoot(t).file("/etc/ld.so.cache", "no cache").dir); got != nil {
		t.Errorf("directories of no cache: %q", got)
	}
}

// The loader of this machine has been given a cache by ldconfig: what is made up above must look like it.
func TestLoaderCacheOfThisMachine(t *testing.T) {
	cache, err := os.ReadFile("/etc/ld.so.cache")
	if err != nil {
		t.Skip(err)
	}
	for name, file := range cachedLibraries(cache) {
		if name == "libc.so.6" && filepath.Base(file) == name {
			return
		}
	}
	t.Error("libc.so.6 was not found")
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
			r.driver(v580, odd).file("/etc/ld.so.cache", string(newFormat([]cacheEntry{{nativeFlags, "libcuda.so.1", odd + "/libcuda.so.1"}})))
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
			d, err := h.driver(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			spec, err := d.Spec()
			if err != nil {
				t.Fatal(err)
			}
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
