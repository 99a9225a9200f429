// This file owns what the processes of a sandbox may do and see by default: capabilities, and the paths of the kernel that are
// hidden or read-only. It is Docker's choice.

package runtime

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gbuild/gbuild/pkg/runtime/host"
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

// held leaves of the capabilities those that this process has. Of the known ones each is at its number.
func held(known, caps []string) []string {
	own, _ := strconv.ParseUint(host.StatusField("CapPrm"), 16, 64)
	return slices.DeleteFunc(caps, func(name string) bool { return own&(1<<slices.Index(known, name)) == 0 })
}

// withholdsMknod says whether root in a sandbox may make devices, and the kernel must not make them: they would be the machine's,
// where root is in no user namespace of its own.
func withholdsMknod(s *Sandbox) bool {
	return host.Bare() && !s.Insecure && !slices.ContainsFunc(s.CapDrop, func(name string) bool {
		name = strings.TrimPrefix(strings.ToUpper(name), "CAP_")
		return name == "ALL" || name == "MKNOD"
	})
}

// expandCaps gives names their full form, and ALL its meaning.
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
