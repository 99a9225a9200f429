package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/docker/go-units"

	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// cgroupVar carries the path of the container's control group into its namespaces.
const cgroupVar = "_GBUILD_CGROUP"

// minMemory is docker's: with less, no container starts.
const minMemory = 6 << 20

// limits reads --memory, --cpus and --pids-limit.
func (o *runOptions) limits() (l runtime.Limits, err error) {
	if o.memory != "" {
		if l.Memory, err = units.RAMInBytes(o.memory); err != nil {
			return l, usagef("--memory %s: it is a size such as 512m or 8g", o.memory)
		}
		if l.Memory < minMemory {
			return l, usagef("--memory %s: the minimum is 6m", o.memory)
		}
	}
	if o.cpus != "" {
		if l.CPUs, err = strconv.ParseFloat(o.cpus, 64); err != nil || l.CPUs < 0.01 || l.CPUs > 1<<20 {
			return l, usagef("--cpus %s: it is a number of processors such as 1.5", o.cpus)
		}
	}
	l.Pids = max(o.pids, 0) // -1 is no limit, too
	return l, nil
}

func (o *runOptions) checkLimits() error {
	_, err := o.limits()
	return err
}

// makeCgroup makes what the limits need; nil where there are none, or where they cannot be enforced, which is said.
func (a *app) makeCgroup(o *runOptions, c *container.Container) (*runtime.Cgroup, error) {
	l, err := o.limits()
	if err != nil || l == (runtime.Limits{}) {
		return nil, err
	}
	group, err := runtime.MakeCgroup(c.ShortID(), l)
	var missing *runtime.Missing
	if errors.As(err, &missing) {
		a.notice(fmt.Sprintf("--memory, --cpus and --pids-limit are not enforced: %v (%s)", missing, missing.Hint()))
		return nil, nil
	}
	return group, err
}
