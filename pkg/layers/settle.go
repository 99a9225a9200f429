package layers

import (
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Settle gives the files of the Python distributions that the draft has, the directories that they are in, and new ones
// above those SettledTime: else no two installations of one distribution would be the same. A distribution whose
// byte code names the times of its sources is left alone. The draft must not be mounted.
func (d *Draft) Settle() error {
	found, err := distributions(d.Dir())
	if err != nil {
		return err
	}
	var parts []*part
	for _, dist := range found {
		if !slices.ContainsFunc(dist.files, func(name string) bool { return timestamped(d.Dir() + name) }) {
			parts = append(parts, partOf(dist))
		}
	}
	changed := map[string]bool{}
	a := newApart(parts)
	for name := range a.files {
		changed[name], changed[path.Dir(name)] = true, true
	}
	for name := range a.dirs {
		if _, err := d.lower.Lstat(name); isNotExist(err) {
			changed[name], changed[path.Dir(name)] = true, true
		}
	}
	for name := range changed {
		if err := settle(d.Dir() + name); err != nil {
			return fmt.Errorf("setting the time of %s: %w", name, err)
		}
	}
	return nil
}

func settle(path string) error {
	at := unix.Timespec{Sec: SettledTime}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}

// timestamped says whether a file is byte code that holds only while its source keeps its time (PEP 552: the flags that
// follow the magic number are zero).
func timestamped(path string) bool {
	if !strings.HasSuffix(path, ".pyc") {
		return false
	}
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return true
	}
	defer file.Close()
	var head [8]byte
	_, err = io.ReadFull(file, head[:])
	return err != nil || [4]byte(head[4:]) == [4]byte{}
}
