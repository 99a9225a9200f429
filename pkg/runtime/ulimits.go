// This file owns resource limits of a process, in the words of Docker's --ulimit. Only root of the host can go beyond the hard limits
// that a process has, and only before it has entered a user namespace: RaiseLimits does that. What is still above them is cut, and said.
// A sandbox's own limits are not set here; libcontainer sets them.

package runtime

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// Ulimit is what --ulimit asks for. -1 is no limit; other numbers below zero are ones that nothing comes near.
type Ulimit struct {
	Name       string
	Soft, Hard int64
}

// limit is a resource limit, unlimited being unix.RLIM_INFINITY.
type limit struct {
	kind       int // one of unix.RLIMIT_*
	soft, hard uint64
	name       string // "" for one that nobody asked for
}

// limit is what the kernel is told.
func (u Ulimit) limit() limit {
	return limit{limitKinds()[u.Name], uint64(u.Soft), uint64(u.Hard), u.Name}
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

// RaiseLimits raises the hard limits of this process to the limits that a sandbox will ask for, where that is allowed. It is for the
// process that calls host.Enter. A limit that stays lower is told by the sandbox, when it is made.
func RaiseLimits(ulimits []string) {
	for _, text := range ulimits {
		u, err := ParseUlimit(text)
		l, own := u.limit(), unix.Rlimit{}
		if err != nil || unix.Getrlimit(l.kind, &own) != nil || own.Max >= l.hard {
			continue
		}
		own.Max = l.hard
		if unix.Prlimit(0, l.kind, &own, nil) != nil && l.kind == unix.RLIMIT_NOFILE {
			// The kernel has a bound of its own for files.
			if bound, err := strconv.ParseUint(host.ReadSetting("/proc/sys/fs/nr_open"), 10, 64); err == nil {
				own.Max = min(own.Max, bound)
				_ = unix.Prlimit(0, l.kind, &own, nil)
			}
		}
	}
}

// readUlimits reads the limits that were asked for, adds the default ones, and cuts all of them to the hard limits of this process. It
// tells of each one that was asked for and is cut.
func readUlimits(ulimits []string, tell func(string)) ([]limit, error) {
	all := []limit{{kind: unix.RLIMIT_CORE}, {unix.RLIMIT_NOFILE, 1024, 524288, ""}}
	for _, text := range ulimits {
		u, err := ParseUlimit(text)
		if err != nil {
			return nil, err
		}
		l := u.limit()
		all = slices.DeleteFunc(all, func(have limit) bool { return have.kind == l.kind })
		all = append(all, l)
	}
	for i := range all {
		var own unix.Rlimit
		if err := unix.Getrlimit(all[i].kind, &own); err != nil {
			return nil, fmt.Errorf("reading own limits: %w", err)
		}
		if all[i].name != "" && all[i].hard > own.Max {
			tell(all[i].whyCut(own.Max))
		}
		all[i].hard = min(all[i].hard, own.Max)
		all[i].soft = min(all[i].soft, all[i].hard)
	}
	return all, nil
}

// whyCut words that a limit is lower than asked, and who can raise it.
func (l limit) whyCut(bound uint64) string {
	text := fmt.Sprintf("--ulimit %s: the command gets %d, which is the hard limit of whoever starts gbuild: root raises it for a user in /etc/security/limits.conf, and for a service by Limit%s=",
		l.name, bound, strings.ToUpper(l.name))
	if l.kind == unix.RLIMIT_MEMLOCK {
		text += "; NCCL over InfiniBand and other RDMA want it unlimited"
	}
	return text
}

// ParseUlimit reads NAME=SOFT[:HARD].
func ParseUlimit(text string) (u Ulimit, err error) {
	name, values, ok := strings.Cut(text, "=")
	if _, known := limitKinds()[name]; !ok || !known {
		return u, fmt.Errorf("ulimit %q is not NAME=SOFT[:HARD] with a known name", text)
	}
	u.Name = name
	first, second, both := strings.Cut(values, ":")
	if u.Soft, err = parseLimit(first); err == nil {
		u.Hard = u.Soft
		if both {
			u.Hard, err = parseLimit(second)
		}
	}
	if err != nil {
		return u, fmt.Errorf("parsing ulimit %q: %w", text, err)
	}
	if u.Hard != noLimit && (u.Soft == noLimit || u.Soft > u.Hard) {
		return u, fmt.Errorf("ulimit %q: the soft limit is above the hard limit", text)
	}
	return u, nil
}

// noLimit is unix.RLIM_INFINITY as a number with a sign.
const noLimit = -1

// parseLimit reads one value; there are two words for no limit.
func parseLimit(s string) (int64, error) {
	if s == "unlimited" {
		return noLimit, nil
	}
	return strconv.ParseInt(s, 10, 64)
}
