// This file owns flags of docker run and podman run that gbuild does nothing for: command lines have them, and mostly mean nothing by
// them. What is not done is said, unless there is nothing to be missed; what a container would wait for in vain is refused.

package running

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
)

// other is one such flag. Where it has neither a notice nor a remedy, a container is as the flag asks for in any case.
type other struct {
	name, short string
	isBool      bool
	fine        []string // values that change nothing, so that nothing is said of them
	notice      string   // why the flag has no effect
	remedy      string   // what to do instead of a flag that is refused
}

const (
	noGroups  = "gbuild makes control groups for memory, time and choice of processors, and the number of processes alone"
	noBridges = "a container has a network of its own, with a fixed address and the host's names; publish ports with -p, or use --network host"
)

// others are all of them.
var others = []other{
	{name: "quiet", short: "q", isBool: true},
	{name: "attach", short: "a"}, // all streams always are
	{name: "annotation", notice: "no runtime is there to read annotations"},
	{name: "cgroupns", fine: []string{"private", ""}, notice: "a container has its own namespace of control groups"},
	{name: "device-cgroup-rule", notice: "a container may use the devices that it is given, by --device and --gpus"},
	{name: "oom-kill-disable", isBool: true, fine: []string{"false"}, notice: noGroups},
	{name: "blkio-weight", notice: noGroups}, {name: "blkio-weight-device", notice: noGroups},
	{name: "device-read-iops", notice: noGroups}, {name: "device-write-iops", notice: noGroups},
	{name: "cpu-rt-period", notice: noGroups}, {name: "cpu-rt-runtime", notice: noGroups},
	{name: "disable-content-trust", isBool: true},
	{name: "volume-driver", fine: []string{"local", ""}, notice: "volumes are directories of the state directory"},
	{name: "link-local-ip", notice: noBridges},
	{name: "use-api-socket", isBool: true, remedy: "there is no daemon whose socket a container could have"},
	{name: "device-read-bps", notice: noGroups}, {name: "device-write-bps", notice: noGroups},
	{name: "memory-swappiness", notice: noGroups}, {name: "kernel-memory", notice: noGroups},
	{name: "cgroup-parent", notice: noGroups},
	{name: "storage-opt", notice: "a container may write as much as the disk of the state directory has"},
	{name: "network-alias", notice: noBridges}, {name: "ip", notice: noBridges}, {name: "ip6", notice: noBridges}, {name: "mac-address", notice: noBridges},
	{name: "link", remedy: "publish the other container's port with -p, and reach it by the address of the host"},
}

// Others is the part about them: what was given of each.
type Others struct{ given []*[]string }

// Flags registers them. They are understood, but not shown in the help.
func (o *Others) Flags(f *pflag.FlagSet) {
	for _, flag := range others {
		values := new([]string)
		o.given = append(o.given, values)
		f.VarP((*cli.List)(values), flag.name, flag.short, "taken for docker's users")
		if flag.isBool {
			f.Lookup(flag.name).NoOptDefVal = "true"
		}
		_ = f.MarkHidden(flag.name)
	}
}

// parse refuses what a container cannot do without.
func (o *Others) parse() error {
	for i, values := range o.given {
		if flag := others[i]; len(*values) > 0 && flag.remedy != "" {
			return cli.Usage(hint.Errorf(flag.remedy, "--%s %s: gbuild does not do that", flag.name, (*values)[0]))
		}
	}
	return nil
}

// fill says which flags have no effect.
func (o *Others) fill(notice func(string)) {
	for i, values := range o.given {
		flag := others[i]
		for _, v := range *values {
			if flag.notice != "" && !slices.Contains(flag.fine, strings.ToLower(v)) {
				notice("--" + flag.name + " has no effect: " + flag.notice)
				break
			}
		}
	}
}
