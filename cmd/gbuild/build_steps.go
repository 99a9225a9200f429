// This file owns the flags of gbuild build about the place where a RUN is executed: its network, its limits, what it is
// lent, and what the command line grants it.

package main

import (
	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/build"
)

// stepFlags are about every RUN alike. What only some of them get, the Dockerfile asks for.
type stepFlags struct {
	network string
	// Lines of /etc/hosts.
	addHosts []string
	ulimits  []string
	shmSize  string
	// What a Dockerfile may ask for and does not get by itself.
	allow []string

	devices     deviceFlags
	credentials credentialFlags
}

// add has two flags that weaken the isolation of a RUN: --network=host is for all of them, and --allow for those that the
// Dockerfile names.
func (f *stepFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.network, "network", "default", "network of RUN: default (private, where that can be had), private, host or none")
	flags.Var((*cli.List)(&f.addHosts), "add-host", "NAME:ADDRESS for /etc/hosts of RUN (repeatable)")
	flags.Var((*cli.List)(&f.ulimits), "ulimit", "NAME=SOFT[:HARD] for RUN (repeatable)")
	flags.StringVar(&f.shmSize, "shm-size", "", "size of /dev/shm in RUN, e.g. 2g")
	flags.Var((*cli.List)(&f.allow), "allow", "entitlement that the Dockerfile may use: network.host, security.insecure, device[=NAME] (repeatable)")
	f.devices.add(flags)
	f.credentials.add(flags)
}

// fill puts into the request what a RUN may do and use, but for devices and credentials, which take looking for.
func (f *stepFlags) fill(req *build.Request, environ cli.Environment) error {
	req.Allow = map[string]bool{cli.HostNetwork: f.network == "host"}
	for _, name := range f.allow {
		req.Allow[name] = true
	}
	network, err := environ.AcceptedNetwork(f.network, req.Allow)
	if err != nil {
		return err
	}
	req.Limits.Network, req.Limits.Ulimits = cli.SandboxNetwork(network), f.ulimits
	if f.shmSize != "" {
		if req.Limits.ShmSize, err = units.RAMInBytes(f.shmSize); err != nil {
			return cli.Usagef("--shm-size %s: %w", f.shmSize, err)
		}
	}
	for _, text := range f.addHosts {
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
