// This file owns the files that a command sees beside its root, and where in the root the command itself is.

package tracer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Bind is a file or a directory of the host that is shown at a target, whatever is made of it there.
type Bind struct{ Source, Target string }

// shown are the directories of the host that every command sees.
var shown = []string{"/proc", "/dev", "/sys"}

// IsShown says whether a target lies in a directory of the host that every command sees, so that no mount point is needed.
func IsShown(target string) bool {
	for _, dir := range shown {
		if at := path.Clean(target); at == dir || strings.HasPrefix(at, dir+"/") {
			return true
		}
	}
	return false
}

// Prepare makes the Source of a Bind at a path, and says whether it is a directory: a link to a file, since proot ends a name at the
// first colon, or, where there is none, a directory of that mode, which stands for a tmpfs.
func Prepare(at, file string, mode *uint32) (isDir bool, err error) {
	if file == "" {
		want := uint32(0o1777)
		if mode != nil {
			want = *mode
		}
		return true, errors.Join(os.Mkdir(at, 0o700), unix.Chmod(at, want))
	}
	info, err := os.Stat(file)
	if err != nil {
		return false, err
	}
	return info.IsDir(), os.Symlink(file, at)
}

// Find looks for a command as a shell does, and returns the code that a shell ends with where there is none: proot tells that from a
// command that fails by words only. open opens a regular file in the root.
func Find(open func(string) (io.ReadCloser, error), name string, env []string) (code int, err error) {
	places := []string{""}
	if !strings.Contains(name, "/") {
		list := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
		for _, e := range env {
			if value, ok := strings.CutPrefix(e, "PATH="); ok {
				list = value
			}
		}
		places = filepath.SplitList(list)
	}
	code, err = 127, exec.ErrNotFound
	for _, place := range places {
		f, openErr := open(path.Join("/", place, name))
		if openErr != nil {
			continue
		}
		executable := false
		if file, ok := f.(*os.File); ok {
			info, statErr := file.Stat()
			executable = statErr == nil && info.Mode()&0o111 != 0
		}
		f.Close()
		if executable {
			return 0, nil
		}
		code, err = 126, os.ErrPermission
	}
	return code, fmt.Errorf("%q: %w", name, err)
}
