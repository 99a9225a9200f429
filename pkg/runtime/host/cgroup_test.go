package host

import (
	"slices"
	"testing"
)

// Root may have limits with version 1 of cgroups where each hierarchy that they need is mounted, and can be written.
func TestCgroupsOfVersion1(t *testing.T) {
	const mounts = "30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n" +
		"32 30 0:28 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n" +
		"33 30 0:29 /docker/1 /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
		"34 30 0:30 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n" +
		"35 30 0:31 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
	const own = "4:pids:/user\n3:cpu,cpuacct:/docker/1/mine\n2:memory:/\n1:name=systemd:/\n0::/\n"
	var asked []string
	all := hierarchies(mounts, own, func(dir string) bool { asked = append(asked, dir); return true })
	if !slices.Equal(asked, []string{"/sys/fs/cgroup/memory/", "/sys/fs/cgroup/cpu,cpuacct/mine", "/sys/fs/cgroup/pids/user"}) {
		t.Errorf("asked for %q", asked)
	}
	if m := decideCgroups(facts{hierarchies: all}); m != nil {
		t.Errorf("of %q: %v", all, m)
	}
	some := hierarchies(mounts, own, func(dir string) bool { return dir != "/sys/fs/cgroup/pids/user" })
	if m := decideCgroups(facts{hierarchies: some}); m == nil || m.What != "no group can be made here in the hierarchies of cgroup version 1 for pids, so limits cannot be set" {
		t.Errorf("of %q: %v", some, m)
	}
	if m := decideCgroups(facts{uid: 1000}); m == nil || m.Remedy == "" {
		t.Errorf("an ordinary user: %v", m)
	}
}
