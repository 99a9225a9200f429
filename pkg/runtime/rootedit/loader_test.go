package rootedit

import (
	"encoding/binary"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/pkg/runtime/ldcache"
)

// A loader finds the driver before what the image has of the same name, and the image's own as before.
func TestUpdateCache(t *testing.T) {
	image := &ldcache.Cache{}
	image.Add(ldcache.Library{Flags: ldcache.FlagsX8664, Name: "libcuda.so.1", Path: "/opt/stubs/libcuda.so.1"}, ldcache.Library{Flags: ldcache.FlagsX8664, Name: "libc.so.6", Path: "/lib/libc.so.6"})
	cache, err := image.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	const conf = "include /etc/ld.so.conf.d/*.conf\n"
	driver := []string{"libcuda.so /compat/libcuda.so", "libcuda.so.1 /compat/libcuda.so.1", "libcuda.so.1 /driver/libcuda.so.1", "libcuda.so.580.1 /driver/libcuda.so.580.1"}
	for name, c := range map[string]struct {
		make func(*imageRoot)
		conf string
		more []string
	}{
		"debian":         {func(r *imageRoot) { r.file("/etc/ld.so.conf", "/elsewhere\n").file(cacheFile, string(cache)) }, "/elsewhere\n", []string{"libc.so.6 /lib/libc.so.6", "libcuda.so.1 /opt/stubs/libcuda.so.1"}},
		"nothing there":  {func(*imageRoot) {}, conf, nil},
		"not a cache":    {func(r *imageRoot) { r.file(cacheFile, "nonsense") }, conf, nil},
		"cache of links": {func(r *imageRoot) { r.file("/var/cache", string(cache)).link("/var/cache", cacheFile) }, conf, []string{"libc.so.6 /lib/libc.so.6", "libcuda.so.1 /opt/stubs/libcuda.so.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newImageRoot(t)
			c.make(r)
			elf := string(libcuda(compatOwner, "", binary.LittleEndian))
			r.file("/driver/libcuda.so.580.1", elf).file("/driver/notes.so.txt", "no library").file("/compat/libcuda.so", elf)
			e := Edits{LibraryDirs: []string{"/compat/", "/driver"}, Libraries: []string{"/driver/libcuda.so.580.1", "/driver/notes.so.txt", "/driver/gone.so.1", "/other/libcuda.so.1"},
				Links: []Link{{"libcuda.so", "/compat/libcuda.so.1"}, {"libcuda.so.580.1", "/driver/libcuda.so.1"}, {"/compat/libcuda.so", "/far/libcuda.so"}, {"dangling", "/driver/libdangling.so"}}}
			if _, err := e.Make(openRoot(t, r.dir)); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(r.dir + cacheFile)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ldcache.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			want := &ldcache.Cache{}
			for _, line := range slices.Concat(driver, c.more) {
				name, path, _ := strings.Cut(line, " ")
				want.Libraries = append(want.Libraries, ldcache.Library{Flags: ldcache.FlagsX8664, Name: name, Path: path})
			}
			want.Add()
			if !slices.Equal(got.Libraries, want.Libraries) {
				t.Errorf("the loader is told\n%v, want\n%v", got.Libraries, want.Libraries)
			}
			if text, _ := os.ReadFile(r.dir + confFile); string(text) != "/compat/\n/driver\n" {
				t.Errorf("%q", text)
			}
			if text, _ := os.ReadFile(r.dir + "/etc/ld.so.conf"); string(text) != c.conf {
				t.Errorf("%q", text)
			}
		})
	}
}
