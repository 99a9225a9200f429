// This file owns GBUILD_MIN_ISOLATION, by which whoever runs a cluster says what is the weakest isolation that a RUN or a
// container may have there. Flags may ask for more, never for less.

package cli

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

// String is the value of the variable that means the level.
func (l isolationLevel) String() string { return isolationLevels[l] }

// minIsolation reads the environment. A value that is not known is refused: it may ask for more than this gbuild can give.
func (e Environment) minIsolation() (isolationLevel, error) {
	value := e.Get(minIsolationVar)
	if value == "" {
		return anyIsolation, nil
	}
	at := slices.Index(isolationLevels, value)
	if at < 0 {
		return 0, Usagef("%s=%s: it is one of %s", minIsolationVar, value, strings.Join(isolationLevels, ", "))
	}
	return isolationLevel(at), nil
}

// HostNetwork is the entitlement by which a Dockerfile may ask for the network of the host.
const HostNetwork = "network.host"

// AcceptedNetwork returns the network that --network asks for, or a stricter one where that is demanded; allow has the
// entitlements that a Dockerfile is granted.
func (e Environment) AcceptedNetwork(flag string, allow map[string]bool) (string, error) {
	least, err := e.minIsolation()
	switch {
	case err != nil || least < privateNetwork:
		return flag, err
	case flag == "host" || allow[HostNetwork]:
		return "", &runtime.Missing{What: fmt.Sprintf("the host's network is not to be had here: %s is %s", minIsolationVar, e.Get(minIsolationVar)),
			Remedy: "leave out --network=host and --allow network.host, or ask who runs this machine"}
	case flag == "default":
		return "private", nil
	}
	return flag, nil
}

// NetworkOfRun says which network a RUN that asks for none gets here, and why.
func (e Environment) NetworkOfRun(s runtime.Support) (string, error) {
	least, err := e.minIsolation()
	switch {
	case err != nil:
		return "", err
	case s.PrivateNetwork() == nil && s.Tun == nil:
		return "private, by /dev/net/tun", nil
	case s.PrivateNetwork() == nil:
		return "private, by virtual Ethernet devices: " + s.Tun.Error(), nil
	case least >= privateNetwork:
		return fmt.Sprintf("none, a build is refused: %s is %s", minIsolationVar, e.Get(minIsolationVar)), nil
	}
	return "the host's, its loopback included; --network=private and " + minIsolationVar + "=" + privateNetwork.String() + " refuse that", nil
}
