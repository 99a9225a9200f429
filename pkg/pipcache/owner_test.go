package pipcache

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// kindDir tells this program that it is the process with one id of TestCachesOfBothKinds.
const kindDir = "GBUILD_TEST_ONE_ID"

// TestCachesOfBothKinds holds that the files of a cache whose owners are real are not those of a build with one id, and the other
// way round, though they ask for the same cache.
func TestCachesOfBothKinds(t *testing.T) {
	o := Options{UID: 1000, GID: 42, OwnerGiven: true}
	use := func(dir string) (*Caches, string) {
		c, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		l, err := c.Acquire(t.Context(), "pip", Shared, o)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Release()
		uid, gid, err := OwnerOf(l.Dir())
		if err != nil || uid != 1000 || gid != 42 {
			t.Errorf("it belongs to %d:%d, %v", uid, gid, err)
		}
		root, err := os.OpenRoot(l.Dir())
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		if err := root.Symlink("x", "link"); err != nil {
			t.Fatal("another kind was there: ", err)
		}
		if err := Give(root, "link", 7, 8); err != nil {
			t.Error(err)
		}
		if uid, gid, err := OwnerOf(filepath.Join(l.Dir(), "link")); err != nil || uid != 7 || gid != 8 {
			t.Errorf("the link belongs to %d:%d, %v", uid, gid, err)
		}
		return c, l.Dir()
	}
	if dir := os.Getenv(kindDir); dir != "" {
		c, own := use(dir)
		if list, err := c.List(); err != nil || len(list) != 1 || list[0].Dir != own || !list[0].Marked {
			t.Errorf("%+v, %v", list, err)
		}
		return
	}
	if rootfs.Marked() {
		t.Skip("only root can give files to others")
	}
	dir := t.TempDir()
	c, _ := use(dir)
	if c.OtherKind("pip", o) {
		t.Error("there is another kind")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestCachesOfBothKinds$")
	cmd.Env = append(os.Environ(), kindDir+"="+dir)
	one := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: one, GidMappings: one}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if list, err := c.List(); err != nil || len(list) != 2 || !c.OtherKind("pip", o) {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := c.Remove(t.Context(), "pip"); err != nil {
		t.Error(err)
	}
	if list, err := c.List(); err != nil || len(list) > 0 {
		t.Errorf("left %+v, %v", list, err)
	}
}
