package host

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFilesInMemory(t *testing.T) {
	if !InMemory(shmDir) {
		t.Skip("there is no file system in memory at " + shmDir)
	}
	in, err := os.MkdirTemp(shmDir, "test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(in)
	dead := filepath.Join(in, memoryPattern+"dead")
	if err := os.MkdirAll(filepath.Join(dead, "secret"), 0o700); err != nil {
		t.Fatal(err)
	}
	first, removeFirst, err := memoryDir(in)
	if err != nil {
		t.Fatal(err)
	}
	second, removeSecond, err := memoryDir(in)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(first, &st); err != nil || st.Mode&0o777 != 0o711 {
		t.Errorf("%o, %v", st.Mode, err)
	}
	if err := removeFirst(); err != nil {
		t.Error(err)
	}
	if Exists(dead) || Exists(first) || !Exists(second) {
		t.Errorf("what is dead is there: %v, %v; what is not is not: %v", Exists(dead), Exists(first), !Exists(second))
	}
	if err := removeSecond(); err != nil {
		t.Error(err)
	}
	if _, _, err := memoryDir("/proc"); err == nil {
		t.Error("/proc is taken for memory")
	}
}
