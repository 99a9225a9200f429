// This file owns the options about the place where a RUN is executed: its network, its limits, what it is
// lent, and what the command line grants it.

package building

import (
	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/build"
)

// Steps are about every RUN alike. What only some of them get, the Dockerfile asks for.
type Steps struct {
	Network string
	// Lines of /etc/hosts.
	AddHosts []string
	Ulimits  []string
	ShmSize  string
	// What a RUN changes at these paths is in no layer.
	Ignore []string
	// What a Dockerfile may ask for and does not get by itself.
	Allow []string

	Devices     Devices
	Credentials Credentials
}

// Flags has two flags that weaken the isolation of a RUN: --network=host is for all of them, and --allow for those that the
// Dockerfile names.
func (f *Steps) Flags(flags *pflag.FlagSet) {
	flags.StringVar(&f.Network, "network", f.Network, "network of RUN: default (private, where that can be had), private, host or none")
	flags.Var((*cli.List)(&f.AddHosts), "add-host", "NAME:ADDRESS for /etc/hosts of RUN (repeatable)")
	flags.Var((*cli.List)(&f.Ulimits), "ulimit", "NAME=SOFT[:HARD] for RUN (repeatable)")
	flags.StringVar(&f.ShmSize, "shm-size", "", "size of /dev/shm in RUN, e.g. 2g")
	flags.Var((*cli.List)(&f.Allow), "allow", "entitlement that the Dockerfile may use: network.host, security.insecure, device[=NAME] (repeatable)")
	f.Devices.Flags(flags)
	f.Credentials.Flags(flags)
}

// fill puts into the request what a RUN may do and use, but for devices and credentials, which take looking for.
func (f *Steps) fill(req *build.Request, environ cli.Environment) error {
	req.Allow = map[string]bool{cli.HostNetwork: f.Network == "host"}
	for _, name := range f.Allow {
		req.Allow[name] = true
	}
	network, err := environ.AcceptedNetwork(f.Network, req.Allow)
	if err != nil {
		return err
	}
	req.Limits.Network, req.Limits.Ulimits, req.Limits.Ignore = cli.SandboxNetwork(network), f.Ulimits, f.Ignore
	if f.ShmSize != "" {
		if req.Limits.ShmSize, err = units.RAMInBytes(f.ShmSize); err != nil {
			return cli.Usagef("--shm-size %s: %w", f.ShmSize, err)
		}
	}
	for _, text := range f.AddHosts {
		host, ok := cli.ParseHost(text, network)
		if !ok {
			return cli.Usagef("--add-host %q: it is NAME:ADDRESS", text)
		}
		req.Limits.Hosts = append(req.Limits.Hosts, host)
	}
	return nil
}

// planNetwork is the network that the parser of the Dockerfile must know of: one that is not a RUN's own.
func planNetwork(network string) (string, error) {
	switch network {
	case "", "private":
		return "", nil
	case "host", "none":
		return network, nil
	}
	return "", cli.Usagef("--network %s: it is default, private, host or none", network)
}
