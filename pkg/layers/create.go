// Making a state directory, and checking one that is there: whose it is, and what wrote it. Whether its filesystem can hold
// snapshots is found out when the first one is begun (fitness.go): a build that makes none needs nothing of it.

package layers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/statedir"
)

// version is the content of the file VERSION. It changes when an older gbuild could not read the store.
const version = "gbuild store 1\n"

// create makes the directory, or checks the one that is there.
func (d disk) create() error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return cannotMake(err)
	}
	if err := d.checkOwner(); err != nil {
		return err
	}
	dropDefaultACL(string(d))
	if err := d.checkFormat(); err != nil {
		return err
	}
	if err := d.makeKept(); err != nil {
		return err
	}
	dropDefaultACL(d.own("drafts"))
	if err := os.Chmod(d.own("drafts"), 0o700); err != nil { // without setgid, by which what is made in it would get its group
		return fmt.Errorf("opening the store: %w", err)
	}
	return nil
}

// cannotMake says what to do where the directory cannot be made. The host is at fault where it forbids that.
func cannotMake(err error) error {
	const remedy = "name a directory that you can write to, such as one below $TMPDIR: --root or GBUILD_ROOT, and --cache-dir or GBUILD_CACHE_DIR for caches"
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return hint.HostErrorf(remedy, "making the store: %w", err)
	}
	return hint.Errorf(remedy, "making the store: %w", err)
}

// defaultACL is the attribute of a directory whose new files get further permissions: see acl(5).
const defaultACL = "system.posix_acl_default"

// dropDefaultACL takes from a directory of the store what a directory above has handed down to it. Files of snapshots would
// get it, and so would layers. A filesystem without ACLs has none to drop.
func dropDefaultACL(dir string) { _ = unix.Lremovexattr(dir, defaultACL) }

// checkOwner refuses a directory that others may change: they could change every image that is built.
func (d disk) checkOwner() error {
	var st unix.Stat_t
	if err := unix.Stat(string(d), &st); err != nil {
		return fmt.Errorf("opening the store %s: %w", string(d), err)
	}
	if int(st.Uid) != os.Geteuid() {
		return hint.Errorf("use a directory of your own, or change its owner", "the store %s belongs to user %d, not to user %d", string(d), st.Uid, os.Geteuid())
	}
	if st.Mode&0o022 != 0 {
		return hint.Errorf("chmod go-w "+string(d), "others may write to the store %s (mode %04o)", string(d), st.Mode&0o7777)
	}
	return nil
}

// checkFormat makes the directories of a new store, and checks that an old one is one that this code can read.
func (d disk) checkFormat() error {
	found, err := os.ReadFile(d.path("VERSION"))
	switch {
	case err == nil && string(found) == version:
		return nil
	case err == nil:
		return hint.Errorf("use the gbuild that made it, or another directory",
			"the store %s has the format %q, this gbuild reads %q", string(d), strings.TrimSpace(string(found)), strings.TrimSpace(version))
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("opening the store: %w", err)
	}
	for _, name := range statedir.Store {
		if err := os.MkdirAll(d.path(name), 0o700); err != nil {
			return fmt.Errorf("making the store: %w", err)
		}
	}
	if err := durable.Save(d.path("VERSION"), []byte(version)); err != nil {
		return fmt.Errorf("making the store: %w", err)
	}
	return nil
}

// makeKept makes the parts of which there is one for each kind, for that of this process.
func (d disk) makeKept() error {
	for _, name := range statedir.Kept {
		if err := os.MkdirAll(d.own(name), 0o700); err != nil {
			return fmt.Errorf("making the store: %w", err)
		}
	}
	return nil
}
