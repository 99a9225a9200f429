// This file owns the comparison of what one Dockerfile becomes in several places: of what kind a file is, whose, what may be done
// with it, and where it leads must not depend on whether the kernel keeps that or somebody answers for it.

package testplaces

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/internal/testimage"
)

// comparison is a Dockerfile that is built in several places.
type comparison struct {
	name     string // of its directory in testdata/owners
	long     bool   // only where GBUILD_OWNERS=long asks for it: it downloads packages, and takes minutes
	contents bool   // whether the bytes of all files must be the same: it writes neither keys nor times
	names    int    // that the image has at least
	owners   int    // different ones that it has at least
}

var comparisons = []comparison{
	{name: "small", contents: true, names: 8000, owners: 25},
	{name: "debian", long: true, names: 15000, owners: 30},
}

// compared are the places, by their names in the table. All must come to what the first does.
var compared = []string{"user", "root", "user-no-ids", "user-no-ids-no-new-privs", "docker-p6", "docker-own"}

func TestOwners(t *testing.T) {
	w := newWorld(t)
	base := w.pythonBase(t)
	for _, c := range comparisons {
		t.Run(c.name, func(t *testing.T) {
			if c.long && os.Getenv("GBUILD_OWNERS") != "long" {
				t.Skip("it takes minutes: make owners")
			}
			var first map[string]file
			for _, name := range compared {
				t.Run(name, func(t *testing.T) {
					m := placeNamed(t, name).as(c.name+"-"+name).make(t, w)
					got := m.filesOf(t, base, filepath.Join("testdata", "owners", c.name))
					if first == nil {
						c.judge(t, got)
						first = got
					}
					want := first
					if name == "docker-own" {
						want = withNames(first)
					}
					c.compare(t, want, got)
				})
			}
		})
	}
}

// withNames is what comes of files where no overlay is: a RUN that writes into a file of several names changes all of them, as on any disk.
func withNames(files map[string]file) map[string]file {
	all := maps.Clone(files)
	for _, name := range []string{"srv/data/hard", "srv/third-name"} {
		if _, there := all[name]; there {
			all[name] = all["srv/data/a"]
		}
	}
	return all
}

// placeNamed is a row of the table.
func placeNamed(t *testing.T, name string) *place {
	t.Helper()
	for _, p := range places {
		if p.name == name {
			return &p
		}
	}
	t.Fatalf("no place is called %s", name)
	return nil
}

// as is the place under another name, with directories of its own.
func (p *place) as(name string) *place {
	renamed := *p
	renamed.name = name
	return &renamed
}

// pythonBase puts a Debian with Python into the registry.
func (w *world) pythonBase(t *testing.T) string {
	t.Helper()
	cache := os.Getenv("GBUILD_TEST_CACHE")
	if cache == "" {
		t.Skip("a Debian with Python is needed, and GBUILD_TEST_CACHE names no directory for it")
	}
	img, err := testimage.Python(t.Context(), cache)
	if err != nil {
		t.Skip("a Debian with Python is needed: ", err)
	}
	base, err := w.registry.Put(t.Context(), "base/python:1", img)
	if err != nil {
		t.Fatal(err)
	}
	return base
}

// filesOf builds a context in the place, and reads what became of it.
func (m *made) filesOf(t *testing.T, base, context string) map[string]file {
	t.Helper()
	dir := filepath.Join(m.dir, "context")
	if err := os.CopyFS(dir, os.DirFS(context)); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	out := filepath.Join(m.dir, "out", "files.tar") // not in the area, which may be what only the place sees
	err := os.MkdirAll(filepath.Dir(out), 0o777)
	if err == nil {
		err = os.Chmod(filepath.Dir(out), 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	if said, code := m.run(t, buildTo(out, base, dir)...); code != 0 {
		t.Fatalf("the build ends with %d:\n%s", code, said)
	}
	return readFiles(t, out)
}

// buildTo is a build whose files become a tar.
func buildTo(out, base, dir string) []string {
	return []string{"build", "--progress", "plain", "--network", "host", "--build-arg", "BASE=" + base, "-o", "type=tar,dest=" + out, dir}
}

// file is what must be the same of a name.
type file struct {
	kind, mode, owner, link, attributes, content string
}

// readFiles reads a tar of a whole image. A further name of a file is that file.
func readFiles(t *testing.T, path string) map[string]file {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string]file{}
	for in := tar.NewReader(f); ; {
		h, err := in.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("reading %s: %v", path, err)
		}
		name := strings.Trim(h.Name, "/")
		if h.Typeflag == tar.TypeLink {
			all[name] = all[strings.Trim(h.Linkname, "/")]
			continue
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, in); err != nil {
			t.Fatalf("reading %s: %v", path, err)
		}
		entry := file{kind: string(h.Typeflag), mode: fmt.Sprintf("%04o", h.Mode&0o7777), owner: fmt.Sprintf("%d:%d", h.Uid, h.Gid), link: h.Linkname,
			content: fmt.Sprintf("%d bytes, %x", h.Size, sum.Sum(nil)[:6])}
		if h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock {
			entry.link = fmt.Sprintf("%d,%d", h.Devmajor, h.Devminor)
		}
		for _, key := range slices.Sorted(maps.Keys(h.PAXRecords)) {
			if attribute, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok {
				entry.attributes += fmt.Sprintf("%s=%x ", attribute, h.PAXRecords[key])
			}
		}
		all[name] = entry
	}
}

// judge holds that there is enough to compare.
func (c comparison) judge(t *testing.T, files map[string]file) {
	t.Helper()
	owners, kinds, attributes := map[string]bool{}, map[string]bool{}, 0
	for _, f := range files {
		owners[f.owner], kinds[f.kind] = true, true
		if f.attributes != "" {
			attributes++
		}
	}
	t.Logf("%d names, %d owners, %d kinds of files, %d with attributes", len(files), len(owners), len(kinds), attributes)
	if len(files) < c.names || len(owners) < c.owners || len(kinds) < 5 || attributes == 0 {
		t.Errorf("there is little to compare")
	}
}

// compare names what differs.
func (c comparison) compare(t *testing.T, first, got map[string]file) {
	t.Helper()
	said := 0
	report := func(format string, args ...any) {
		if said++; said <= 40 {
			t.Errorf(format, args...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(first)) {
		want, have := first[name], got[name]
		if !c.contents {
			want.content, have.content = "", ""
		}
		if _, there := got[name]; !there {
			report("%s is missing: %v", name, want)
		} else if want != have {
			report("%s is %v, not %v", name, have, want)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, there := first[name]; !there {
			report("%s is there, and should not be: %v", name, got[name])
		}
	}
	if said > 40 {
		t.Errorf("and %d more", said-40)
	}
}
