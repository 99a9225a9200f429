// This file owns the question whether the user may open a node of the host. In a user namespace that is asked of the kernel: the owners of
// nodes are nobody there, and root has no right to them that its user has not.

package gpu

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// access finds out by what right a node can be opened. Where the right is that of a group which the user is in outside of this namespace,
// the sandbox must keep its groups; where there is none, that is said.
func (in *injection) access(node string, st fs.FileInfo) {
	err := unix.Faccessat(unix.AT_FDCWD, node, unix.R_OK, unix.AT_EACCESS)
	var seen unix.Stat_t
	switch {
	case errors.Is(err, unix.EACCES) && st.Mode().Perm()&0o070 != 0:
		in.notice("%s cannot be opened by you: it is its group's (see ls -l %s), and this session is not in that: run sudo usermod -aG GROUP $USER, and log in again", node, node)
	case errors.Is(err, unix.EACCES):
		in.notice("%s cannot be opened by you: it is its owner's alone (mode %s)", node, fmt.Sprintf("%#o", st.Mode().Perm()))
	case err == nil && st.Mode().Perm()&0o004 == 0 && unix.Stat(node, &seen) == nil && seen.Gid == overflowUID:
		in.edits.KeepGroups = true
	}
}
