// This file owns the isolation of a RUN or a container: the one that the user asks for, and GBUILD_MIN_ISOLATION, by which whoever
// runs a cluster says what is the weakest that is accepted there. Flags may ask for more, never for less.

package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

const (
	isolationVar    = "GBUILD_ISOLATION"
	minIsolationVar = "GBUILD_MIN_ISOLATION"
)

// IsolationFlag is --isolation.
type IsolationFlag struct{ Name string }

// Add adds the flag.
func (f *IsolationFlag) Add(flags *pflag.FlagSet) {
	flags.StringVar(&f.Name, "isolation", "", "how RUN and containers are isolated: auto (the best that there is), root, rootless, rootless-single, fake, inplace, chroot, ptrace or norun ("+isolationVar+")")
}

// Parse reads the flag, or else the variable.
func (f *IsolationFlag) Parse(e Environment) (host.Isolation, error) {
	want, err := host.ParseIsolation(cmp.Or(f.Name, e.Get(isolationVar), host.Auto.String()))
	if err != nil {
		return want, Usage(err)
	}
	return want, nil
}

// Mode decides how the sandboxes of this process are made. A mode that is weaker than what is accepted here is an error.
func (a *App) Mode(want host.Isolation) (host.Mode, error) {
	least, err := a.Environ.minIsolation()
	if err != nil {
		return host.Mode{}, err
	}
	m, err := host.ModeHere(want)
	if err != nil {
		return m, err
	}
	return m, least.check(m)
}

// demands are what GBUILD_MIN_ISOLATION asks for.
type demands struct {
	text           string
	least          host.Isolation
	privateNetwork bool // nothing that runs shares the network of the host
	ownProc        bool // nothing that runs sees processes outside of its sandbox
	ownUsers       bool // no root in a sandbox is the root of the machine
}

// minIsolation reads the environment: values with commas between them, all of which are demanded. One that is not known is refused: it
// may ask for more than this gbuild can give.
func (e Environment) minIsolation() (d demands, err error) {
	d.text = e.Get(minIsolationVar)
	for value := range strings.SplitSeq(d.text, ",") {
		switch strings.TrimSpace(value) {
		case "", "any":
		case "private-network":
			d.privateNetwork = true
		case "own-proc":
			d.ownProc = true
		case "user-namespace":
			d.ownUsers = true
		default:
			i, err := host.ParseIsolation(strings.TrimSpace(value))
			if err != nil || !i.CanRun() {
				return d, Usagef("%s=%s: it is any, private-network, own-proc, user-namespace or the weakest isolation that is accepted (ptrace, chroot, inplace, fake, rootless-single, rootless or root), or several of them with commas between", minIsolationVar, d.text)
			}
			d.least = max(d.least, i)
		}
	}
	return d, nil
}

// check refuses a mode that is weaker.
func (d demands) check(m host.Mode) error {
	refuse := func(what string, why *host.Missing) error {
		missing := &host.Missing{What: fmt.Sprintf("%s, and %s is %s", what, minIsolationVar, d.text), Remedy: "ask who runs this machine"}
		if why != nil {
			missing.Cause, missing.Remedy = why, why.Remedy
		}
		return missing
	}
	switch {
	case m.Isolation < d.least:
		return refuse("the isolation here is "+m.Isolation.String(), cmp.Or(m.Single, m.NoOwn))
	case d.ownProc && m.BoundProc != nil:
		return refuse("a sandbox would share /proc and processes with this place", m.BoundProc)
	case d.ownProc && !m.Isolation.Enters():
		return refuse("a command would share /proc and processes with this place", m.NoOwn)
	case d.ownUsers && (m.HostRoot != nil || !m.Isolation.Enters()):
		return refuse("a sandbox would have no user namespace of its own", cmp.Or(m.HostRoot, m.NoOwn))
	}
	return nil
}

// HostNetwork is the entitlement by which a Dockerfile may ask for the network of the host.
const HostNetwork = "network.host"

// AcceptedNetwork returns the network that --network asks for, or a stricter one where that is demanded; allow has the
// entitlements that a Dockerfile is granted.
func (e Environment) AcceptedNetwork(flag string, allow map[string]bool) (string, error) {
	least, err := e.minIsolation()
	switch {
	case err != nil || !least.privateNetwork:
		return flag, err
	case flag == "host" || allow[HostNetwork]:
		return "", &host.Missing{What: fmt.Sprintf("the host's network is not to be had here: %s is %s", minIsolationVar, e.Get(minIsolationVar)),
			Remedy: "leave out --network=host and --allow network.host, or ask who runs this machine"}
	case flag == "default":
		return "private", nil
	}
	return flag, nil
}

// AcceptedProcesses refuses to show the processes of the host where that is demanded.
func (e Environment) AcceptedProcesses(shared bool) error {
	least, err := e.minIsolation()
	if err != nil || !shared || !least.ownProc {
		return err
	}
	return &host.Missing{What: fmt.Sprintf("the processes of the host are not to be had here: %s is %s", minIsolationVar, least.text),
		Remedy: "leave out --pid=host, or ask who runs this machine"}
}

// NetworkOfRun says which network a RUN that asks for none gets here, and why.
func (e Environment) NetworkOfRun(s host.Support) (string, error) {
	least, err := e.minIsolation()
	switch {
	case err != nil:
		return "", err
	case s.PrivateNetwork() == nil && s.Tun == nil:
		return "private, by /dev/net/tun", nil
	case s.PrivateNetwork() == nil:
		return "private, by virtual Ethernet devices: " + s.Tun.Error(), nil
	case least.privateNetwork:
		return fmt.Sprintf("none, a build is refused: %s is %s", minIsolationVar, e.Get(minIsolationVar)), nil
	}
	return "the host's, its loopback included; --network=private and " + minIsolationVar + "=private-network refuse that", nil
}
