package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// defaultCaps are the capabilities that Docker gives a container. They only count inside the user namespace.
func defaultCaps() []string {
	return []string{
		"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
		"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
	}
}

// grant works out a list of capabilities: the default or all of them, less dropped, with added.
func grant(all []string, insecure bool, add, drop []string) ([]string, error) {
	caps := defaultCaps()
	if insecure {
		caps = all
	}
	add, err := expandCaps(all, add)
	if err != nil {
		return nil, err
	}
	if drop, err = expandCaps(all, drop); err != nil {
		return nil, err
	}
	caps = slices.DeleteFunc(slices.Clone(caps), func(c string) bool { return slices.Contains(drop, c) })
	caps = append(caps, add...)
	slices.Sort(caps)
	return slices.Compact(caps), nil
}

func expandCaps(all, names []string) ([]string, error) {
	var out []string
	for _, n := range names {
		n = strings.ToUpper(n)
		if n == "ALL" {
			out = append(out, all...)
			continue
		}
		n = "CAP_" + strings.TrimPrefix(n, "CAP_")
		if !slices.Contains(all, n) {
			return nil, fmt.Errorf("unknown capability %q", n)
		}
		out = append(out, n)
	}
	return out, nil
}

// maskedPaths are hidden: they tell about the host, or reach its hardware. As in containerd and moby.
func maskedPaths() []string {
	paths := []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
		"/sys/devices/virtual/powercap", "/sys/firmware",
	}
	throttle, _ := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle")
	return append(paths, throttle...)
}

// readonlyPaths can be read, and change the host when written.
func readonlyPaths() []string {
	return []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}

// limit is a resource limit, unlimited being unix.RLIM_INFINITY.
type limit struct {
	kind       int
	soft, hard uint64
}

// limitKinds are the names of Docker's --ulimit.
func limitKinds() map[string]int {
	return map[string]int{
		"as": unix.RLIMIT_AS, "core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA,
		"fsize": unix.RLIMIT_FSIZE, "locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK,
		"msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE, "nofile": unix.RLIMIT_NOFILE,
		"nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS, "rtprio": unix.RLIMIT_RTPRIO,
		"rttime": unix.RLIMIT_RTTIME, "sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK,
	}
}

// limits are the default ones and those asked for, cut to the hard limits of this process: only root of the host may
// go beyond them.
func limits(ulimits []string) ([]limit, error) {
	all := []limit{{unix.RLIMIT_CORE, 0, 0}, {unix.RLIMIT_NOFILE, 1024, 524288}}
	for _, text := range ulimits {
		l, err := parseUlimit(text)
		if err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(all, func(have limit) bool { return have.kind == l.kind })
		all = append(all, l)
	}
	for i := range all {
		var own unix.Rlimit
		if err := unix.Getrlimit(all[i].kind, &own); err != nil {
			return nil, fmt.Errorf("reading own limits: %w", err)
		}
		all[i].hard = min(all[i].hard, own.Max)
		all[i].soft = min(all[i].soft, all[i].hard)
	}
	return all, nil
}

func parseUlimit(text string) (limit, error) {
	name, values, ok := strings.Cut(text, "=")
	kind, known := limitKinds()[name]
	if !ok || !known {
		return limit{}, fmt.Errorf("ulimit %q is not NAME=SOFT[:HARD] with a known name", text)
	}
	first, second, both := strings.Cut(values, ":")
	soft, err := parseLimit(first)
	if err != nil {
		return limit{}, fmt.Errorf("parsing ulimit %q: %w", text, err)
	}
	hard := soft
	if both {
		if hard, err = parseLimit(second); err != nil {
			return limit{}, fmt.Errorf("parsing ulimit %q: %w", text, err)
		}
	}
	if soft > hard {
		return limit{}, fmt.Errorf("ulimit %q: the soft limit is above the hard limit", text)
	}
	return limit{kind, soft, hard}, nil
}

func parseLimit(s string) (uint64, error) {
	if s == "-1" || s == "unlimited" {
		return unix.RLIM_INFINITY, nil
	}
	return strconv.ParseUint(s, 10, 63)
}

// mappedGroup says whether a group id exists in this user namespace.
func mappedGroup(gid int) bool {
	b, _ := os.ReadFile("/proc/self/gid_map")
	ranges, _ := parseIDMap(string(b))
	return isMapped(ranges, gid)
}
