package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/runtime"
)

// This file owns GBUILD_MIN_ISOLATION, by which whoever runs a cluster says what is the weakest isolation that a RUN or a
// container may have there. Flags may ask for more, never for less.

const minIsolationVar = "GBUILD_MIN_ISOLATION"

// isolationLevels are its values, the weakest first. Each demands what those before it demand, too.
var isolationLevels = []string{"any", privateNetwork}

const privateNetwork = "private-network" // nothing that runs shares the network of the host

// demands says whether the environment wants a level. A value that is not known is refused: it may ask for more than this
// gbuild can give.
func (a *app) demands(level string) (bool, error) {
	value := a.env(minIsolationVar)
	if value == "" {
		return false, nil
	}
	at := slices.Index(isolationLevels, value)
	if at < 0 {
		return false, usagef("%s=%s: it is one of %s", minIsolationVar, value, strings.Join(isolationLevels, ", "))
	}
	return at >= slices.Index(isolationLevels, level), nil
}

// acceptedNetwork returns the network that --network asks for, or a stricter one where that is demanded; granted says that
// a Dockerfile may ask for the host's.
func (a *app) acceptedNetwork(flag string, granted bool) (string, error) {
	demanded, err := a.demands(privateNetwork)
	switch {
	case err != nil || !demanded:
		return flag, err
	case flag == "host" || granted:
		return "", &runtime.Missing{What: fmt.Sprintf("the host's network is not to be had here: %s is %s", minIsolationVar, a.env(minIsolationVar)),
			Remedy: "leave out --network=host and --allow network.host, or ask who runs this machine"}
	case flag == "default":
		return "private", nil
	}
	return flag, nil
}

// sandboxNetwork is --network as a sandbox has it.
func sandboxNetwork(flag string) string {
	if flag == "default" {
		return ""
	}
	return flag
}

// networkOfRun says which network a RUN that asks for none gets here, and why.
func (a *app) networkOfRun(s runtime.Support) (string, error) {
	demanded, err := a.demands(privateNetwork)
	switch {
	case err != nil:
		return "", err
	case s.PrivateNetwork() == nil && s.Tun == nil:
		return "private, by /dev/net/tun", nil
	case s.PrivateNetwork() == nil:
		return "private, by virtual Ethernet devices: " + s.Tun.Error(), nil
	case demanded:
		return fmt.Sprintf("none, a build is refused: %s is %s", minIsolationVar, a.env(minIsolationVar)), nil
	}
	return "the host's, its loopback included; --network=private and " + minIsolationVar + "=" + privateNetwork + " refuse that", nil
}
