// This file owns the choice of a sandbox's network: the host's, none, or a private one of package network; and what is said where
// it is weaker than asked.

package runtime

import (
	"errors"

	"github.com/gbuild/gbuild/pkg/runtime/host"
	"github.com/gbuild/gbuild/pkg/runtime/network"
)

// connection is the network of one sandbox.
type connection struct {
	host       bool   // the host's
	namespace  string // the path of the namespace to join; "": libcontainer makes an empty one
	loopback   bool   // libcontainer sets up the loopback device
	resolvConf string
	close      func() // ends it; must be called when no process of the sandbox is left
}

// connect makes the network that was asked for. Where no private one can be had, and none was demanded, the host's is
// used, which the notice says.
func connect(s *Sandbox) (*connection, error) {
	shared := &connection{host: true, resolvConf: host.ReadSetting("/etc/resolv.conf") + "\n", close: func() {}}
	switch s.Network {
	case "host":
		return shared, nil
	case "none":
		return &connection{loopback: true, resolvConf: shared.resolvConf, close: func() {}}, nil
	}
	n, err := s.Networks.Take(shared.resolvConf)
	if err == nil {
		n.Publish(s.Ports)
		return privateConnection(n, s, shared.resolvConf), nil
	}
	var refused *network.Error
	if !errors.As(err, &refused) {
		return nil, err
	}
	missing := host.MissingNetwork(refused)
	if s.Network == "private" {
		return nil, missing
	}
	if s.Networks.FirstWithout() {
		s.notice(missing.Error() + "; the host's network is used, its loopback included (" + missing.Remedy + "; --network=private refuses instead)")
	}
	return shared, forward(s, shared)
}

// forward serves the published ports in the host's network, and says how.
func forward(s *Sandbox, c *connection) error {
	if len(s.Ports) == 0 {
		return nil
	}
	f, err := network.Forward(s.Ports)
	if err != nil {
		return err
	}
	c.close = f.Close
	s.notice("in the host's network " + f.String())
	return nil
}

// privateConnection is the connection by a network of the sandbox's own.
func privateConnection(n *network.Network, s *Sandbox, hostResolv string) *connection {
	c := &connection{namespace: n.Namespace(), resolvConf: network.ResolvConf(hostResolv), close: n.Close}
	if s.cannotChangeNetwork() {
		c.close = n.Leave
	}
	return c
}
