package mark_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/mark"
)

func TestOwnersComeBack(t *testing.T) {
	for _, mode := range []uint32{unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK, unix.S_IFIFO, unix.S_IFSOCK} {
		name := mark.Attribute(mode)
		if !mark.IsMark(name, mode) {
			t.Errorf("mode %o: the attribute %s is no mark", mode, name)
		}
		for _, want := range [][2]uint32{{1000, 0}, {0, 42}, {65534, 1<<32 - 2}} {
			uid, gid, ok := mark.Decode(name, mark.Encode(name, want[0], want[1]))
			if got := [2]uint32{uid, gid}; got != want || !ok {
				t.Errorf("mode %o: %v came back as %v, %v", mode, want, got, ok)
			}
		}
	}
}

func TestACapabilityOfAProgramIsNoMark(t *testing.T) {
	if mark.IsMark("security.capability", unix.S_IFREG) {
		t.Error("a program's capability is taken for an owner")
	}
}

func TestOtherBytesAreNoMarks(t *testing.T) {
	for _, value := range [][]byte{nil, {1}, make([]byte, 12), make([]byte, 21)} {
		if _, _, ok := mark.Decode(mark.Owner, value); ok {
			t.Errorf("%d bytes are an owner", len(value))
		}
		if _, ok := mark.DecodeDevice(value); ok {
			t.Errorf("%d bytes are a device", len(value))
		}
	}
}

func TestDevicesComeBack(t *testing.T) {
	want := mark.Device{Type: unix.S_IFBLK, Major: 8, Minor: 1 << 19}
	if got, ok := mark.DecodeDevice(want.Encode()); got != want || !ok {
		t.Errorf("%+v came back as %+v, %v", want, got, ok)
	}
}

// The kernel must take each mark where it is put. Root may set it everywhere.
func TestTheKernelTakesMarksOfLinks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root, or root of a user namespace, may set security.capability")
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("nowhere", link); err != nil {
		t.Fatal(err)
	}
	name := mark.Attribute(unix.S_IFLNK)
	if err := unix.Lsetxattr(link, name, mark.Encode(name, 7, 8), 0); err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 64)
	n, err := unix.Lgetxattr(link, name, value)
	if err != nil {
		t.Fatal(err)
	}
	if uid, gid, ok := mark.Decode(name, value[:n]); uid != 7 || gid != 8 || !ok {
		t.Errorf("7:8 came back as %d:%d, %v", uid, gid, ok)
	}
}
