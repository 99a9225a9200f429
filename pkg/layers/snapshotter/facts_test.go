package snapshotter

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/filecopy"
)

// What a program can set back does not hide a change: content of the same size, with the same time, at once after the look.
func TestNoChangeIsOverlooked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	check(t, os.Mkdir(dir, 0o755))
	name, then := filepath.Join(dir, "f"), time.Unix(1000, 0)
	check(t, os.WriteFile(name, []byte("old"), 0o644))
	check(t, os.Chtimes(name, then, then))
	for range 50 {
		c := &Copy{dir: dir, clock: filepath.Dir(dir)}
		check(t, c.Begin())
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		check(t, err)
		_, err = f.WriteString("new")
		check(t, err)
		f.Close()
		check(t, os.Chtimes(name, then, then))
		now, err := factOf(name)
		check(t, err)
		if now == c.before.names["f"].fact {
			t.Fatal("a change was overlooked")
		}
	}
}

func TestADirectoryMadeAgainIsAnother(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	check(t, os.Mkdir(dir, 0o755))
	before, err := factOf(dir)
	check(t, err)
	check(t, filecopy.WaitPast(filepath.Dir(dir), before.ctime))
	check(t, os.Chmod(dir, 0o700))
	if now, err := factOf(dir); err != nil || !now.sameDir(before) || now == before {
		t.Errorf("changed: %+v, %v", now, err)
	}
	check(t, os.Remove(dir))
	check(t, os.Mkdir(dir, 0o755))
	if now, err := factOf(dir); err != nil || now.sameDir(before) {
		t.Errorf("made again: %+v, %v", now, err)
	}
}

func TestHolesStayHoles(t *testing.T) {
	lower, _, _, root := stackDirs(t)
	name := filepath.Join(lower, "f")
	f, err := os.Create(name)
	check(t, err)
	for _, at := range []int64{1 << 20, 5 << 20} {
		_, err := f.WriteAt([]byte("data"), at)
		check(t, err)
	}
	check(t, f.Truncate(8<<20))
	check(t, f.Close())
	var st unix.Stat_t
	check(t, unix.Lstat(name, &st))
	check(t, filecopy.New(nil).File(name, filepath.Join(root, "f"), &st))
	got, err := os.ReadFile(filepath.Join(root, "f"))
	check(t, err)
	want, err := os.ReadFile(name)
	check(t, err)
	if string(got) != string(want) {
		t.Error("the content differs")
	}
	var copied unix.Stat_t
	check(t, unix.Lstat(filepath.Join(root, "f"), &copied))
	if copied.Blocks > st.Blocks {
		t.Errorf("%d blocks, of a file of %d", copied.Blocks, st.Blocks)
	}
}
