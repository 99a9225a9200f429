package layers

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Settle gives the files of the Python distributions that the draft has, and the new directories that they are in,
// SettledTime: else no two installations of one distribution would be the same. A distribution whose byte code names the
// times of its sources is left alone. The draft must not be mounted.
func (d *Draft) Settle() error {
	found, err := distributions(d.Dir())
	if err != nil {
		return err
	}
	var parts []*part
	for _, dist := range found {
		if !dist.stale {
			parts = append(parts, partOf(dist))
		}
	}
	settled := newApart(parts)
	for name := range settled.files {
		if err := settle(d.Dir() + name); err != nil {
			return fmt.Errorf("setting the time of %s: %w", name, err)
		}
	}
	for name := range settled.dirs {
		_, err := d.lower.Lstat(name)
		if isNotExist(err) {
			err = settle(d.Dir() + name)
		}
		if err != nil {
			return fmt.Errorf("setting the time of %s: %w", name, err)
		}
	}
	return nil
}

func settle(path string) error {
	at := unix.Timespec{Sec: SettledTime}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}
