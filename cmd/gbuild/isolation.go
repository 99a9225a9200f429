// This file owns GBUILD_MIN_ISOLATION, by which whoever runs a cluster says what is the weakest isolation that a RUN or a
// container may have there. Flags may ask for more, never for less.

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/runtime"
)

const minIsolationVar = "GBUILD_MIN_ISOLATION"

// isolationLevel is the weakest isolation that is accepted. Each level demands what those before it demand, too.
type isolationLevel int

const (
	anyIsolation   isolationLevel = iota
	privateNetwork                // nothing that runs shares the network of the host
)

// isolationLevels are the values of the variable.
var isolationLevels = []string{anyIsolation: "any", privateNetwork: "private-network"}

func (l isolationLevel) String() string { return isolationLevels[l] }

// minIsolation reads the environment. A value that is not known is refused: it may ask for more than this gbuild can give.
func (e environment) minIsolation() (isolationLevel, error) {
	value := e.get(minIsolationVar)
	if value == "" {
		return anyIsolation, nil
	}
	at := slices.Index(isolationLevels, value)
	if at < 0 {
		return 0, usagef("%s=%s: it is one of %s", minIsolationVar, value, strings.Join(isolationLevels, ", "))
	}
	return isolationLevel(at), nil
}

// hostNetwork is the entitlement by which a Dockerfile may ask for the network of the host.
const hostNetwork = "network.host"

// acceptedNetwork returns the network that --network asks for, or a stricter one where that is demanded; allow has the
// entitlements that a Dockerfile is granted.
func (e environment) acceptedNetwork(flag string, allow map[string]bool) (string, error) {
	least, err := e.minIsolation()
	switch {
	case err != nil || least < privateNetwork:
		return flag, err
	case flag == "host" || allow[hostNetwork]:
		return "", &runtime.Missing{What: fmt.Sprintf("the host's network is not to be had here: %s is %s", minIsolationVar, e.get(minIsolationVar)),
			Remedy: "leave out --network=host and --allow network.host, or ask who runs this machine"}
	case flag == "default":
		return "private", nil
	}
	return flag, nil
}

// networkOfRun says which network a RUN that asks for none gets here, and why.
func (e environment) networkOfRun(s runtime.Support) (string, error) {
	least, err := e.minIsolation()
	switch {
	case err != nil:
		return "", err
	case s.PrivateNetwork() == nil && s.Tun == nil:
		return "private, by /dev/net/tun", nil
	case s.PrivateNetwork() == nil:
		return "private, by virtual Ethernet devices: " + s.Tun.Error(), nil
	case least >= privateNetwork:
		return fmt.Sprintf("none, a build is refused: %s is %s", minIsolationVar, e.get(minIsolationVar)), nil
	}
	return "the host's, its loopback included; --network=private and " + minIsolationVar + "=" + privateNetwork.String() + " refuse that", nil
}
