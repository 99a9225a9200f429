// This file owns the network of a container: which one it is, and the names of the hosts in it. Without a word of the user
// that is a network of its own where one can be made, else that of the host.

package main

import (
	"os"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// runNetwork is the room of what a container can reach, and of how it is reached.
type runNetwork struct {
	kind, hostname string
	publish, hosts []string

	ports []port // publish, parsed
}

// add registers the flags. --net is docker's older word, which is understood but not shown in the help.
func (n *runNetwork) add(f *pflag.FlagSet) {
	f.StringVar(&n.kind, "network", "default", "default (private, where that can be had), private, host or none")
	f.StringVar(&n.kind, "net", "default", "the same as --network")
	_ = f.MarkHidden("net")
	f.VarP((*cli.List)(&n.publish), "publish", "p", "[[ADDRESS:]HOSTPORT:]PORT[/udp] (repeatable)")
	f.Var((*cli.List)(&n.hosts), "add-host", "NAME:ADDRESS for /etc/hosts (repeatable)")
	f.StringVarP(&n.hostname, "hostname", "h", "", "host name of the container")
}

// parse reads --network and -p, and opens no socket.
func (n *runNetwork) parse() (err error) {
	if err := cli.OneOf("--network", n.kind, "default", "private", "bridge", "host", "none"); err != nil {
		return err
	}
	if n.kind == "bridge" { // docker's word for it
		n.kind = "private"
	}
	n.ports, err = parsePublished(n.publish)
	return err
}

// published are the ports that gbuild listens at for the container. In the host's network the command listens itself, and
// a container without a network has none.
func (n *runNetwork) published() []port {
	if n.kind == "default" || n.kind == "private" {
		return n.ports
	}
	return nil
}

// fill takes over the sockets that openPorts made in an earlier process, so it works once in a process.
func (n *runNetwork) fill(box *runtime.Sandbox) (err error) {
	box.Network = cli.SandboxNetwork(n.kind)
	if err := n.fillHosts(box); err != nil {
		return err
	}
	box.Ports, err = receivePorts(n.published())
	return err
}

// nameOf is the host name of a container: in the host's network that of the host, so that it finds itself by it.
func (n *runNetwork) nameOf(c *container.Container) string {
	if n.hostname != "" {
		return n.hostname
	}
	if name, err := os.Hostname(); n.kind == "host" && err == nil {
		return name
	}
	return c.ShortID()
}

// fillHosts adds the lines of /etc/hosts.
func (n *runNetwork) fillHosts(box *runtime.Sandbox) error {
	for _, text := range n.hosts {
		host, ok := cli.ParseHost(text, n.kind)
		if !ok {
			return cli.Usagef("--add-host %s: it is NAME:ADDRESS", text)
		}
		box.Hosts = append(box.Hosts, host)
	}
	return nil
}
