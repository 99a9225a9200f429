package rootfs

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// The root of a tree is one without openat2, too.
func TestLookupSlowly(t *testing.T) {
	dir := t.TempDir()
	for _, err := range []error{os.Mkdir(dir+"/etc", 0o755), os.Mkdir(dir+"/run", 0o755), os.Mkdir(dir+"/var", 0o755),
		os.WriteFile(dir+"/etc/passwd", nil, 0o644), os.Symlink("/run", dir+"/var/run")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	tr, err := newTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	for name, want := range map[string]error{"etc": nil, ".": nil, "../..": nil, "missing": unix.ENOENT, "etc/passwd": unix.ENOTDIR, "var/run": nil} {
		fd, err := tr.lookupSlowly(name)
		if err != want {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
		if err == nil {
			unix.Close(fd)
		}
	}
}
