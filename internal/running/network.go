// This file owns the network of a container: which one it is, and the names of the hosts in it. Without a word of the user
// that is a network of its own where one can be made, else that of the host.

package running

import (
	"os"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// Network is the part about what a container can reach, and of how it is reached.
type Network struct {
	Kind, Hostname            string
	Publish, Expose, AddHosts []string
	PublishAll                bool

	ports, exposed []port // Publish and Expose, parsed
}

// Flags registers the flags. --net is docker's older word, which is understood but not shown in the help.
func (n *Network) Flags(f *pflag.FlagSet) {
	f.StringVar(&n.Kind, "network", n.Kind, "default (private, where that can be had), private, host or none")
	f.StringVar(&n.Kind, "net", n.Kind, "the same as --network")
	_ = f.MarkHidden("net")
	f.VarP((*cli.List)(&n.Publish), "publish", "p", "[[ADDRESS:]HOSTPORT:]PORT[/udp] (repeatable)")
	f.BoolVarP(&n.PublishAll, "publish-all", "P", false, "publish the ports that the image exposes, at ones of this host that are free")
	f.Var((*cli.List)(&n.Expose), "expose", "PORT[/udp] that -P publishes besides (repeatable)")
	f.Var((*cli.List)(&n.AddHosts), "add-host", "NAME:ADDRESS for /etc/hosts (repeatable)")
	f.StringVarP(&n.Hostname, "hostname", "h", "", "host name of the container")
}

// parse reads --network and -p, and opens no socket.
func (n *Network) parse() (err error) {
	if err := cli.OneOf("--network", n.Kind, "default", "private", "bridge", "host", "none"); err != nil {
		return cli.Usage(hint.Wrap(err, "there are no named networks: publish the ports of the other container with -p and reach it at the address of this host, or give both --network host"))
	}
	if n.Kind == "bridge" { // docker's word for it
		n.Kind = "private"
	}
	if n.ports, err = parsePublished(n.Publish); err != nil {
		return err
	}
	for _, text := range n.Expose {
		ports, err := parseExposed(text)
		if err != nil {
			return cli.Usage(hint.Errorf("it is PORT[/udp], or a range", "--expose %s: %w", text, err))
		}
		n.exposed = append(n.exposed, ports...)
	}
	return nil
}

// published are the ports that gbuild listens at for the container. In the host's network the command listens itself, and
// a container without a network has none.
func (n *Network) published() []port {
	if n.canPublish() {
		return n.ports
	}
	return nil
}

func (n *Network) canPublish() bool { return n.Kind == "default" || n.Kind == "private" }

// fill takes over the sockets that openPorts made in an earlier process, so it works once in a process.
func (n *Network) fill(box *runtime.Sandbox) (err error) {
	box.Network = cli.SandboxNetwork(n.Kind)
	if err := n.fillHosts(box); err != nil {
		return err
	}
	if (len(n.ports) > 0 || n.PublishAll) && n.Kind == "host" {
		box.Notice("published ports are discarded when using host network mode: the command listens at this host's ports itself")
	} else if len(n.ports) > 0 && !n.canPublish() {
		box.Notice("published ports are discarded: the network none reaches nobody")
	}
	box.Ports, err = receivePorts(n.published())
	return err
}

// nameOf is the host name of a container: in the host's network that of the host, so that it finds itself by it.
func (n *Network) nameOf(c *container.Container) string {
	if n.Hostname != "" {
		return n.Hostname
	}
	if name, err := os.Hostname(); n.Kind == "host" && err == nil {
		return name
	}
	return c.ShortID()
}

// fillHosts adds the lines of /etc/hosts.
func (n *Network) fillHosts(box *runtime.Sandbox) error {
	for _, text := range n.AddHosts {
		host, ok := cli.ParseHost(text, n.Kind)
		if !ok {
			return cli.Usagef("--add-host %s: it is NAME:ADDRESS", text)
		}
		box.Hosts = append(box.Hosts, host)
	}
	return nil
}
