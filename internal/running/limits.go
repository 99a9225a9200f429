// This file owns the limits of a container, and the control group that enforces them. The group is made outside of the
// namespaces and removed there at the end; only its path goes in. A host that has no groups for this user is no reason not to
// run: the limits are left out, and that is said.

package running

import (
	"errors"
	"fmt"
	"math/big"

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
	Memory, CPUs string
	Pids         int64

	parsed runtime.Limits
}

// Flags registers the flags, which are docker's.
func (l *Limits) Flags(f *pflag.FlagSet) {
	f.StringVarP(&l.Memory, "memory", "m", "", "limit of memory, such as 8g")
	f.StringVar(&l.CPUs, "cpus", "", "limit of processors' time, such as 1.5")
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
	return nil
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

// makeCgroup makes what the limits need; nil where there are none, or where they cannot be enforced, which is said.
func (l *Limits) makeCgroup(name string, notice func(string)) (*runtime.Cgroup, error) {
	if l.parsed == (runtime.Limits{}) {
		return nil, nil
	}
	group, err := runtime.MakeCgroup(name, l.parsed)
	var missing *host.Missing
	if errors.As(err, &missing) {
		notice(fmt.Sprintf("--memory, --cpus and --pids-limit are not enforced: %v (%s)", missing, missing.Hint()))
		return nil, nil
	}
	return group, err
}
