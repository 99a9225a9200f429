package rootfs

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/mark"
)

func TestWhoGivesOwners(t *testing.T) {
	const all, nested, one = "         0          0 4294967295\n", "0 1000 1\n1 100000 65536\n", "         0       1000          1\n"
	tests := []struct {
		name          string
		euid          int
		chown         bool
		users, groups string
		want          bool
	}{
		{"root", 0, true, all, all, true},
		{"root of a namespace with subordinate ids", 0, true, nested, nested, true},
		{"root of a namespace with one id", 0, true, one, one, false},
		{"one group only", 0, true, nested, one, false},
		{"root without CAP_CHOWN", 0, false, all, all, false},
		{"an ordinary user", 1000, false, all, all, false},
		{"a kernel without user namespaces", 0, true, "", "", true},
	}
	for _, test := range tests {
		if got := givesOwners(test.euid, test.chown, test.users, test.groups); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// as has the rest of a test keep owners in one way.
func as(t *testing.T, marks bool) {
	t.Helper()
	was := marked
	marked = func() bool { return marks }
	t.Cleanup(func() { marked = was })
}

func TestMarkedOwners(t *testing.T) {
	as(t, true)
	dir := t.TempDir()
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := MakeNode(int(root.Fd()), "fifo", unix.S_IFIFO, 0); err != nil {
		t.Fatal(err)
	}
	if err := MakeNode(int(root.Fd()), "device", unix.S_IFBLK, unix.Mkdev(8, 1)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "link", "fifo", "device"} {
		for _, want := range []Owner{{1000, 42}, {0, 0}, {0, 65534}} {
			err := want.GiveAt(int(root.Fd()), name)
			if errors.Is(err, ErrOwnerLost) && os.Geteuid() != 0 {
				continue
			}
			e, lost := Lstat(filepath.Join(dir, name), "/"+name)
			if err := errors.Join(err, lost); err != nil || e.Owner() != want {
				t.Errorf("%s: %+v, want %v; %v", name, e, want, err)
				continue
			}
			if x, err := e.Xattrs(); len(x) > 0 || err != nil {
				t.Errorf("%s has attributes: %v, %v", name, x, err)
			}
		}
	}
	e, err := Lstat(dir+"/device", "/device")
	if err != nil || e.Mode != unix.S_IFBLK|0o600 || e.Rdev != unix.Mkdev(8, 1) {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err = Lstat(dir+"/file", "/file"); err != nil || !e.IsRegular() {
		t.Errorf("%+v, %v", e, err)
	}
}

// A device that was once made as a mark is one for who has real owners, too; the mark of an owner is not.
func TestMarksWhereOwnersAreReal(t *testing.T) {
	as(t, true)
	dir := t.TempDir()
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := MakeNode(int(root.Fd()), "device", unix.S_IFCHR, unix.Mkdev(1, 3)); err != nil {
		t.Fatal(err)
	}
	if err := (Owner{7, 8}).GivePath(dir + "/device"); err != nil {
		t.Fatal(err)
	}
	as(t, false)
	e, err := Lstat(dir+"/device", "/device")
	if err != nil || e.Type() != unix.S_IFCHR || e.Rdev != unix.Mkdev(1, 3) || e.Owner() != (Owner{os.Geteuid(), os.Getegid()}) {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestForeignFiles(t *testing.T) {
	as(t, true)
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 12, 12); err != nil {
		t.Skip("only root can give files to others:", err)
	}
	if e, err := Lstat(path, "/f"); !errors.Is(err, ErrForeignOwner) {
		t.Errorf("%+v, %v", e, err)
	}
}

// What looks like a mark in a tar, or in an index from elsewhere, is none.
func TestMarksDoNotEnter(t *testing.T) {
	for name, want := range map[string]bool{"user.gbuild.owner": false, "user.gbuild.node": false, "user.gbuild.opaque": false, "user.overlay.opaque": false,
		"security.selinux": false, "security.capability": true, "user.note": true} {
		if PortableXattr(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

// BenchmarkLstat is what the owner of a file costs: nothing where it is real, but for empty files, which may be devices.
func BenchmarkLstat(b *testing.B) {
	dir := b.TempDir()
	for name, text := range map[string]string{"file": "x", "empty": "", "owned": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	was := marked
	defer func() { marked = was }()
	marked = func() bool { return true }
	if err := (Owner{1, 2}).GivePath(dir + "/owned"); err != nil {
		b.Fatal(err)
	}
	for _, marks := range []bool{false, true} {
		for _, name := range []string{"file", "empty", "owned"} {
			b.Run(fmt.Sprintf("%s-%v", name, marks), func(b *testing.B) {
				marked = func() bool { return marks }
				for b.Loop() {
					if _, err := Lstat(dir+"/"+name, "/"+name); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// An archive that has attributes which are marks here makes neither owners nor devices by them.
func TestMarksOfAnArchive(t *testing.T) {
	var data bytes.Buffer
	w := tar.NewWriter(&data)
	h := &tar.Header{Typeflag: tar.TypeReg, Name: "f", Mode: 0o644, ModTime: time.Unix(1000, 0)}
	SetXattrs(h, map[string][]byte{mark.Owner: mark.Encode(mark.Owner, 7, 8), mark.Node: mark.Device{Type: unix.S_IFCHR}.Encode(),
		mark.Opaque: []byte("y"), "user.note": []byte("n")})
	if err := errors.Join(w.WriteHeader(h), w.Close()); err != nil {
		t.Fatal(err)
	}
	for _, marks := range []bool{false, true} {
		if !marks && os.Geteuid() != 0 {
			continue
		}
		as(t, marks)
		dir := t.TempDir()
		a, err := NewApplier(dir, 1<<20, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if _, err := a.Layer(t.Context(), bytes.NewReader(data.Bytes())); err != nil {
			t.Fatal(err)
		}
		names, err := listXattrs(dir + "/f")
		if err != nil || len(names) != 1 || names[0] != "user.note" {
			t.Errorf("attributes %q, %v", names, err)
		}
		e, err := Lstat(dir+"/f", "/f")
		if err != nil || !e.IsRegular() || e.Owner() != (Owner{}) {
			t.Errorf("%+v, %v", e, err)
		}
	}
}

// An index from elsewhere has no marks, whatever it says.
func TestMarksOfAnIndex(t *testing.T) {
	w := NewIndexer(false)
	x := map[string][]byte{mark.Owner: mark.Encode(mark.Owner, 7, 8), "user.overlay.opaque": []byte("y"), "user.note": []byte("n")}
	if err := w.file(&Entry{Path: "/f", Mode: unix.S_IFREG | 0o644}, nil, x); err != nil {
		t.Fatal(err)
	}
	data, err := w.Index()
	if err != nil {
		t.Fatal(err)
	}
	read, err := OpenIndex(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	e, err := IndexView(read).Lstat("/f")
	if err != nil {
		t.Fatal(err)
	}
	if x, err := e.Xattrs(); err != nil || len(x) != 1 || string(x["user.note"]) != "n" {
		t.Errorf("%q, %v", x, err)
	}
}
