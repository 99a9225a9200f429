// This file owns what is known of the control group of this process.

package host

import (
	"strings"

	"golang.org/x/sys/unix"
)

// OwnCgroup says whether version 2 is mounted, and which controllers the own cgroup could give to children.
func OwnCgroup() (v2 bool, controllers string) {
	const root = "/sys/fs/cgroup"
	var st unix.Statfs_t
	if unix.Statfs(root, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
		return false, ""
	}
	own := root + strings.TrimPrefix(ReadSetting("/proc/self/cgroup"), "0::")
	if unix.Access(own+"/cgroup.procs", unix.W_OK) != nil {
		return true, ""
	}
	return true, ReadSetting(own + "/cgroup.controllers")
}
