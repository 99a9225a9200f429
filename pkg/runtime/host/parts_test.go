package host

import (
	"strings"
	"testing"
)

func TestCovers(t *testing.T) {
	for _, c := range []struct{ lines, want string }{
		{plainMounts, ""},
		{plainMounts + "24 22 0:22 / /proc/kcore rw - tmpfs tmpfs rw\n25 22 0:22 / /process rw - tmpfs tmpfs rw\n", "/proc/kcore"},
		{"22 1 0:20 / /proc ro,nosuid shared:3 - proc proc rw\n", "/proc, read-only"},
		{"22 1 0:20 / /proc rw shared:3 - tmpfs proc rw\n", "/proc, where there is none"},
		{"", "/proc, where there is none"},
	} {
		if got := strings.Join(covers(c.lines, "proc", "/proc"), " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.lines, got, c.want)
		}
	}
	cgroups := "30 1 0:21 / /sys rw - sysfs sysfs rw\n31 30 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n32 31 0:23 / /sys/fs/cgroup/memory rw - cgroup cgroup rw\n"
	if got := covers(cgroups, "sysfs", "/sys"); len(got) > 0 {
		t.Error(got)
	}
}
