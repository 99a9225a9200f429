// This file owns resource limits of a process, in the words of Docker's --ulimit. An ordinary user cannot go beyond the hard limits
// that this process has: a larger value becomes the hard limit. Nothing is set here; libcontainer sets them.

package runtime

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// limit is a resource limit, unlimited being unix.RLIM_INFINITY.
type limit struct {
	kind       int // one of unix.RLIMIT_*
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

// readUlimits reads the limits that were asked for, adds the default ones, and cuts all of them to the hard limits of this process.
func readUlimits(ulimits []string) ([]limit, error) {
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

// parseUlimit reads NAME=SOFT[:HARD].
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

// parseLimit reads one value; there are two words for no limit.
func parseLimit(s string) (uint64, error) {
	if s == "-1" || s == "unlimited" {
		return unix.RLIM_INFINITY, nil
	}
	return strconv.ParseUint(s, 10, 63)
}
