package layers

import (
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// TestDefaultACL holds that a default ACL of the directory in which the state lies gets into no snapshot. The kernel would take
// it in place of the umask, so that what a RUN makes could be written by others.
func TestDefaultACL(t *testing.T) {
	parent := t.TempDir()
	// acl(5), as the kernel keeps it: version 2; then tag, permissions and id of each entry, here user::rwx, group::rwx,
	// other::rwx, which have no id.
	acl := []byte{2, 0, 0, 0}
	for _, tag := range []byte{1, 4, 32} {
		acl = append(acl, tag, 0, 7, 0, 255, 255, 255, 255)
	}
	if err := unix.Setxattr(parent, defaultACL, acl, 0); err != nil {
		t.Skipf("the file system has no ACLs: %v", err)
	}
	defer unix.Umask(unix.Umask(0o022))
	dir := filepath.Join(parent, "made")
	for _, when := range []string{"made by Open", "made before"} {
		s, err := Open(dir)
		check(t, err)
		change(t, s, Key{}, keyOf(when), func(root string) {
			check(t, os.Mkdir(root+"/d", 0o777))
			check(t, os.WriteFile(root+"/d/f", nil, 0o666))
		})
		v, err := s.View(keyOf(when))
		check(t, err)
		for name, want := range map[string]uint32{"/d": 0o755, "/d/f": 0o644} {
			e, err := v.Lstat(name)
			check(t, err)
			if e.Mode&0o7777 != want {
				t.Errorf("%s: %s has mode %o, want %o", when, name, e.Mode&0o7777, want)
			}
		}
		check(t, s.Close())
		check(t, unix.Setxattr(dir, defaultACL, acl, 0))
		check(t, unix.Setxattr(disk(dir).own("drafts"), defaultACL, acl, 0))
	}
}

// A directory above that hands down its group, as directories of projects do, hands it to no file of an image.
func TestGroupOfTheDirectoryAbove(t *testing.T) {
	needRoot(t)
	above := t.TempDir()
	check(t, os.Chown(above, 0, 1234))
	check(t, unix.Chmod(above, 0o2755))
	s, err := Open(filepath.Join(above, "a", "store"))
	check(t, err)
	defer s.Close()
	d, err := s.Draft(t.Context(), Key{})
	check(t, err)
	check(t, os.Mkdir(d.Dir()+"/dir", 0o755))
	write(t, d.Dir()+"/dir/file", "")
	check(t, d.Commit(t.Context(), keyOf("k")))
	base, err := s.Unpack(t.Context(), []v1.Layer{layerOf(t, tarOf(t, "d dir", "f dir/file x"), codec.Compression{})}, nil)
	check(t, err)
	for _, k := range []Key{keyOf("k"), base} {
		check(t, mustView(t, s, k).Walk("/", func(e *rootfs.Entry) error {
			if e.GID != 0 || e.Mode&unix.S_ISGID != 0 {
				t.Errorf("%s has group %d, mode %o", e.Path, e.GID, e.Mode)
			}
			return nil
		}))
	}
}
