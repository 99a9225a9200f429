// This file owns the limits of a container, and the control group that enforces them. The group is made outside of the
// namespaces and removed there at the end; only its path goes in. A host that has no groups for this user is no reason not to
// run: the limits are left out, and that is said.

package running

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// cgroupVar carries the path of the container's control group into its namespaces.
const cgroupVar = "_GBUILD_CGROUP"

// minMemory is docker's: with less, no container starts.
const minMemory = 6 << 20

// Limits is the part about what a container may use up.
type Limits struct {
	Memory, CPUs, MemorySwap, MemoryReservation string
	CPUSet, MemorySet                           string
	CPUShares                                   uint64
	CPUPeriod, CPUQuota, Pids                   int64

	parsed runtime.Limits
}

// Flags registers the flags, which are docker's.
func (l *Limits) Flags(f *pflag.FlagSet) {
	f.StringVarP(&l.Memory, "memory", "m", "", "limit of memory, such as 8g")
	f.StringVar(&l.CPUs, "cpus", "", "limit of processors' time, such as 1.5")
	f.StringVar(&l.MemorySwap, "memory-swap", "", "limit of memory and swap together, such as 12g; -1 is no limit of swap")
	f.StringVar(&l.MemoryReservation, "memory-reservation", "", "memory that is left to the container when it is short on the host")
	f.StringVar(&l.CPUSet, "cpuset-cpus", "", "processors to run on, such as 0-3,5")
	f.StringVar(&l.MemorySet, "cpuset-mems", "", "nodes of memory to use")
	f.Uint64VarP(&l.CPUShares, "cpu-shares", "c", 0, "part of the processors where all are busy (1024 is usual)")
	f.Int64Var(&l.CPUPeriod, "cpu-period", 0, "microseconds of which --cpu-quota has a part (default: 100000)")
	f.Int64Var(&l.CPUQuota, "cpu-quota", 0, "microseconds of processors' time in each --cpu-period")
	f.Int64Var(&l.Pids, "pids-limit", 0, "limit of processes and threads")
}

// parse reads the limits; 0 is none, and of processes -1 is, too. Whether they can be enforced here is found out by makeCgroup.
func (l *Limits) parse() (err error) {
	p := &l.parsed
	if l.Memory != "" {
		if p.Memory, err = units.RAMInBytes(l.Memory); err != nil {
			return cli.Usagef("--memory %s: it is a size such as 512m or 8g", l.Memory)
		}
		if p.Memory != 0 && p.Memory < minMemory {
			return cli.Usagef("--memory %s: the minimum is 6m", l.Memory)
		}
	}
	if l.CPUs != "" {
		if p.CPUs, err = parseCPUs(l.CPUs); err != nil {
			return cli.Usagef("--cpus %s: it is a number of processors such as 1.5: %w", l.CPUs, err)
		}
	}
	p.Pids = max(l.Pids, 0)
	return l.parseMore()
}

// parseCPUs reads a number, or a fraction, of processors in units of 10⁻⁹, as docker counts them.
func parseCPUs(text string) (float64, error) {
	n, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, errors.New("it is no number")
	}
	n.Mul(n, big.NewRat(1e9, 1))
	if !n.IsInt() || !n.Num().IsInt64() || n.Sign() < 0 {
		return 0, errors.New("it has more than nine decimals, or is too large, or less than none")
	}
	return float64(n.Num().Int64()) / 1e9, nil
}

// parseMore reads the limits that few ask for.
func (l *Limits) parseMore() (err error) {
	p := &l.parsed
	if l.MemoryReservation != "" {
		if p.MemoryReservation, err = units.RAMInBytes(l.MemoryReservation); err != nil || p.MemoryReservation < 0 {
			return cli.Usagef("--memory-reservation %s: it is a size such as 4g", l.MemoryReservation)
		}
	}
	switch l.MemorySwap {
	case "", "0":
	case "-1":
		p.MemorySwap = -1
	default:
		if p.MemorySwap, err = units.RAMInBytes(l.MemorySwap); err != nil {
			return cli.Usagef("--memory-swap %s: it is a size such as 12g, or -1", l.MemorySwap)
		}
		if p.Memory == 0 || p.MemorySwap < p.Memory {
			return cli.Usagef("--memory-swap %s: it is for memory and swap together, so it needs a --memory that is not larger", l.MemorySwap)
		}
	}
	if p.Memory == 0 {
		p.MemorySwap = 0 // there is nothing to be bounded
	}
	if l.CPUQuota > 0 {
		if l.CPUs != "" {
			return cli.Usagef("conflicting options: --cpus and --cpu-quota cannot both be set")
		}
		p.CPUs = float64(l.CPUQuota) / float64(cmp.Or(max(l.CPUPeriod, 0), 100_000))
	}
	for _, set := range []struct{ flag, text string }{{"--cpuset-cpus", l.CPUSet}, {"--cpuset-mems", l.MemorySet}} {
		if set.text != "" && !isSet(set.text) {
			return cli.Usagef("%s %s: it is a list of numbers and ranges, such as 0-3,5", set.flag, set.text)
		}
	}
	p.CPUShares, p.CPUSet, p.MemorySet = l.CPUShares, l.CPUSet, l.MemorySet
	return nil
}

// isSet says whether a text is a list of numbers and ranges.
func isSet(text string) bool {
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(part, "-")
		first, err1 := strconv.ParseUint(from, 10, 16)
		last, err2 := first, error(nil)
		if isRange {
			last, err2 = strconv.ParseUint(to, 10, 16)
		}
		if err1 != nil || err2 != nil || last < first {
			return false
		}
	}
	return true
}

// makeCgroup makes what the limits need; nil where there are none, or where they cannot be enforced, which is said.
func (l *Limits) makeCgroup(name string, notice func(string)) (*runtime.Cgroup, error) {
	if l.parsed == (runtime.Limits{}) {
		return nil, nil
	}
	group, err := runtime.MakeCgroup(name, l.parsed)
	var missing *host.Missing
	if errors.As(err, &missing) {
		notice(fmt.Sprintf("--memory, --cpus, --pids-limit and the like are not enforced: %v (%s)", missing, missing.Hint()))
		return nil, nil
	}
	return group, err
}
