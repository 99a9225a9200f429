package running

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A container has docker's files whatever the image has in their place, and nothing is made through a link of the image.
func TestRootFiles(t *testing.T) {
	outside := t.TempDir()
	for name, prepare := range map[string]func(root string) error{
		"nothing":     func(string) error { return nil },
		"other files": func(root string) error { return os.MkdirAll(filepath.Join(root, "etc"), 0o755) },
		"links out": func(root string) error {
			for _, name := range []string{"etc/hostname", "etc/mtab", ".dockerenv"} {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
					return err
				}
				if err := os.Symlink(filepath.Join(outside, "made"), filepath.Join(root, name)); err != nil {
					return err
				}
			}
			return nil
		},
		"a link to etc": func(root string) error {
			return errors.Join(os.MkdirAll(filepath.Join(root, "usr/etc"), 0o755), os.Symlink("usr/etc", filepath.Join(root, "etc")))
		},
	} {
		root := t.TempDir()
		if err := prepare(root); err != nil {
			t.Fatal(err)
		}
		for range 2 { // as at a further start
			if err := makeRootFiles(root, "box"); err != nil {
				t.Fatal(name, err)
			}
		}
		host, err1 := os.ReadFile(filepath.Join(root, "etc/hostname"))
		mtab, err2 := os.Readlink(filepath.Join(root, "etc/mtab"))
		info, err3 := os.Lstat(filepath.Join(root, ".dockerenv"))
		if err := errors.Join(err1, err2, err3); err != nil || string(host) != "box\n" || mtab != "/proc/mounts" || !info.Mode().IsRegular() || info.Size() != 0 {
			t.Errorf("%s: %q, %q, %v; %v", name, host, mtab, info, err)
		}
	}
	root := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(root, "etc")); err != nil {
		t.Fatal(err)
	}
	if err := makeRootFiles(root, "box"); err != nil {
		t.Error(err)
	}
	if made, _ := os.ReadDir(outside); len(made) > 0 {
		t.Errorf("outside of the root are %v", made)
	}
}
