package runtime

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/opencontainers/runc/libcontainer/configs"
)

// network is the network of one sandbox.
type network struct {
	host       bool               // the host's
	namespace  string             // a path of the namespace to join; "": libcontainer makes an empty one
	loopback   []*configs.Network // for libcontainer to set up
	resolvConf string
	stack      *userStack
	space      *netNamespace
	leaveTo    *Networks // who gets the namespace in the end; nil: nobody
}

// connect makes the network that was asked for. Where no private one can be had, and none was demanded, the host's is
// used, which the notice says.
func (r *run) connect() (*network, error) {
	host := readSetting("/etc/resolv.conf") + "\n"
	switch r.Network {
	case "host":
		return &network{host: true, resolvConf: host}, nil
	case "none":
		lo := []*configs.Network{{Type: "loopback"}}
		return &network{loopback: lo, resolvConf: host}, nil
	}
	n, err := r.privateNetwork(host)
	if err == nil {
		n.stack.publish(r.Ports)
		return n, nil
	}
	var missing *Missing
	if r.Network == "private" || !errors.As(err, &missing) {
		return nil, err
	}
	if r.Networks.firstWithout() {
		r.notice(missing.Error() + "; the host's network is used, its loopback included (" + missing.Remedy + "; --network=private refuses instead)")
	}
	return &network{host: true, resolvConf: host}, nil
}

// Addresses of a private network, on a link to which nothing else is attached. As in slirp4netns.
const (
	sandboxAddr = "10.0.2.100"
	resolver    = "10.0.2.3"
	deviceName  = "eth0"
	// deviceMTU is the largest that leaves room in a 16-bit length; large packets are what makes a stack in user space fast.
	deviceMTU = 65520
)

// privateNetwork makes a network namespace with one device, the other end of which is a TCP/IP stack in this process
// that opens the connections anew from here.
func (r *run) privateNetwork(hostResolv string) (*network, error) {
	space, err := r.Networks.take()
	if err != nil {
		return nil, err
	}
	n := &network{
		space:      space,
		namespace:  fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), space.ns.Fd()),
		resolvConf: privateResolvConf(hostResolv),
	}
	if n.stack, err = newUserStack(space.device, nameservers(hostResolv)); err != nil {
		n.close()
		return nil, fmt.Errorf("making a private network: %w", err)
	}
	// Whoever may administer the network, or write to /proc/sys as root, could leave something behind for the next.
	if !r.Insecure && !r.Unmasked && len(r.CapAdd) == 0 {
		n.leaveTo = r.Networks
	}
	return n, nil
}

// privateResolvConf is the host's, with the stack's resolver in the place of the nameservers.
func privateResolvConf(host string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "nameserver %s\n", resolver)
	for line := range strings.Lines(host) {
		if f := strings.Fields(line); len(f) > 1 && (f[0] == "search" || f[0] == "domain" || f[0] == "options") {
			b.WriteString(strings.TrimSpace(line) + "\n")
		}
	}
	return b.String()
}

// nameservers are those of a resolv.conf, at most three as in the C library.
func nameservers(resolv string) []netip.AddrPort {
	var list []netip.AddrPort
	for line := range strings.Lines(resolv) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" || len(list) == 3 {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil {
			list = append(list, netip.AddrPortFrom(a, 53))
		}
	}
	return list
}

// close ends the network. It must be called when no process of the sandbox is left.
func (n *network) close() {
	if n.stack != nil {
		n.stack.close()
	}
	switch {
	case n.leaveTo != nil:
		n.leaveTo.leave(n.space)
	case n.space != nil:
		n.space.close()
	}
}
