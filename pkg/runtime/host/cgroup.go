// This file owns what is known of the control group of this process.

package host

import (
	"slices"
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

// hierarchies are the controllers of version 1 whose hierarchy is mounted where this user may make a group, of those that limits
// need.
func hierarchies(mountinfo, own string, mayWrite func(dir string) bool) (writable []string) {
	groups := map[string]string{} // the own group, by controller
	for line := range strings.Lines(own) {
		if fields := strings.SplitN(strings.TrimSpace(line), ":", 3); len(fields) == 3 {
			for name := range strings.SplitSeq(fields[1], ",") {
				groups[name] = fields[2]
			}
		}
	}
	for line := range strings.Lines(mountinfo) {
		mount, kind, _ := strings.Cut(line, " - ")
		fields, options := strings.Fields(mount), strings.Fields(kind)
		if len(fields) < 5 || len(options) < 3 || options[0] != "cgroup" {
			continue
		}
		for name := range strings.SplitSeq(options[2], ",") {
			group, isHere := groups[name]
			if below := strings.TrimPrefix(group, strings.TrimSuffix(fields[3], "/")); isHere && slices.Contains(needed, name) && mayWrite(fields[4]+below) {
				writable = append(writable, name)
			}
		}
	}
	return writable
}

// needed are the controllers that limits of memory, processors and processes take.
var needed = []string{"memory", "cpu", "pids"}

func mayWrite(dir string) bool { return unix.Access(dir, unix.W_OK) == nil }
