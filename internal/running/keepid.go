// This file owns who of the image's users is the caller: --userns=keep-id, and a -u that plainly means the same.

package running

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// fillKeepID reads --userns: which user of the image the caller is to be. Without ids that is the one that runs the command.
func (b *Box) fillKeepID(box *runtime.Sandbox, user string) error {
	mode, options, _ := strings.Cut(b.Userns, ":")
	switch mode {
	case "":
		if isCaller(user) {
			box.KeepID = callersID(box)
		}
		return nil
	case "host", "private":
		return nil
	case "keep-id":
	default:
		return cli.Usagef("--userns %s: it is keep-id[:uid=UID,gid=GID]", b.Userns)
	}
	k := &runtime.KeepID{UID: box.UID, GID: box.GID}
	for _, f := range strings.FieldsFunc(options, func(c rune) bool { return c == ',' }) {
		key, value, _ := strings.Cut(f, "=")
		var err error
		switch key {
		case "uid":
			_, err = fmt.Sscan(value, &k.UID)
		case "gid":
			_, err = fmt.Sscan(value, &k.GID)
		default:
			err = errors.New("unknown option")
		}
		if err != nil {
			return cli.Usagef("--userns %s: %s: %w", b.Userns, f, err)
		}
	}
	// An id that was given is meant as the user of the command, too. --user still has the last word.
	if options != "" && user == "" {
		box.UID, box.GID = k.UID, k.GID
	}
	box.KeepID = k
	return nil
}

// settleKeepID says what a -u is taken for, and what keeps the files of a container from a sandbox in which root is a subordinate id: a directory
// above the state that is closed to others, and whose group is not the caller's own, so that no right of root counts there.
func (b *Box) settleKeepID(box *runtime.Sandbox, user string, a *cli.App) error {
	if box.KeepID == nil || host.SingleID() {
		return nil
	}
	state, err := a.StateDir()
	if err != nil {
		return err
	}
	closed := closedAbove(state)
	switch {
	case closed != "" && b.Userns != "":
		return hint.Errorf("open it to others (chmod o+x), or choose another state directory with --root", "--userns=keep-id: %s is closed to others, and its group is not yours alone", closed)
	case closed != "":
		box.KeepID = nil
		box.Notice(fmt.Sprintf("-u %s is you, but the command is a subordinate id, which may write nothing of yours: --userns=keep-id needs %s to be open to others (chmod o+x), or another --root", user, closed))
	case b.Userns == "":
		box.Notice(fmt.Sprintf("-u %s is you, so --userns=keep-id is taken: what the command writes in your directories is yours (--userns=host leaves it to a subordinate id)", user))
	}
	return nil
}

// closedAbove is a directory on the way to another that nobody may pass but its owner and group, of which one has no number here; "" if there is none.
func closedAbove(dir string) string {
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved
	}
	for ; ; dir = filepath.Dir(dir) {
		var st unix.Stat_t
		const nobody = 65534 // whoever has no number in a user namespace
		if unix.Stat(dir, &st) == nil && st.Mode&0o001 == 0 && (st.Uid == nobody || st.Gid == nobody) {
			return dir
		}
		if dir == "/" {
			return ""
		}
	}
}

// isCaller says whether a -u is the number of an ordinary user who calls, as $(id -u):$(id -g) gives it. With docker, files that such a command
// writes in the user's directories are the user's; here that number would be a subordinate id, which may write nothing there.
func isCaller(user string) bool {
	name, _, _ := strings.Cut(user, ":")
	uid, err := strconv.ParseUint(name, 10, 31)
	return err == nil && uid != 0 && host.Entered() && !host.SingleID() && int(uid) == host.OwnerOutside()
}

// callersID exchanges the user of the command, and the group if it is the caller's, too.
func callersID(box *runtime.Sandbox) *runtime.KeepID {
	k := &runtime.KeepID{UID: box.UID}
	if box.GID == host.GroupOutside() {
		k.GID = box.GID
	}
	return k
}
