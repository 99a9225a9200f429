package snapshotter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// wide is a directory with many directories, many files, and names of one file in several places.
func wide(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i := range 20 {
		in := fmt.Sprintf("%s/d%d/in", dir, i)
		check(t, os.MkdirAll(in, 0o755))
		for j := range 10 {
			check(t, os.WriteFile(fmt.Sprintf("%s/f%d", in, j), []byte(strings.Repeat("x", i*j)), 0o600))
		}
		check(t, os.WriteFile(in+"/first", []byte("linked"), 0o644))
		check(t, os.Link(in+"/first", fmt.Sprintf("%s/d%d/second", dir, i)))
		check(t, os.Chmod(in, 0o555))
		for _, name := range []string{in, dir + fmt.Sprintf("/d%d", i)} {
			check(t, os.Chtimes(name, time.Unix(int64(i), 0), time.Unix(int64(i), 5)))
		}
	}
	t.Cleanup(func() { _ = RemoveAll(dir) })
	return dir
}

// described says what is in a directory.
func described(t *testing.T, dir string) (all []string) {
	t.Helper()
	check(t, rootfs.NewView(dir).Walk("/", func(e *rootfs.Entry) error {
		var st unix.Stat_t
		check(t, unix.Lstat(e.Source(), &st))
		all = append(all, fmt.Sprintf("%s %o %d %d %v", e.Path, e.Mode, e.Size, e.Nlink, st.Mtim.Nano()))
		return nil
	}))
	return all[1:] // the root directory was made by somebody else
}

// A copy has all files, the names of one file are names of one, and directories have their modes and times.
func TestCopyHasAll(t *testing.T) {
	from, to := wide(t), t.TempDir()+"/copy"
	c, err := NewCopy(t.Context(), to, rootfs.NewView(from))
	check(t, err)
	defer RemoveAll(to)
	if got, want := described(t, c.Dir()), described(t, from); !slices.Equal(got, want) {
		t.Errorf("copied:\n%q\nwant\n%q", got, want)
	}
}

// The first file that cannot be copied ends the copying, and so does whoever wants it no more.
func TestCopyEndsWithAnError(t *testing.T) {
	v := rootfs.NewView(wide(t))
	to := t.TempDir() + "/copy"
	defer RemoveAll(to)
	check(t, os.MkdirAll(to+"/d10/in/f3", 0o755))
	if _, err := NewCopy(t.Context(), to, v); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "/d10/in/f3") {
		t.Errorf("a file in the way: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	given := errors.New("given up")
	cancel(given)
	if _, err := NewCopy(ctx, t.TempDir()+"/copy", v); !errors.Is(err, given) {
		t.Errorf("given up: %v", err)
	}
}
