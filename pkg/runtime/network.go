package runtime

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
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

// connect makes the network that was asked for. A private one needs /dev/net/tun; without it the host's is used, which
// the notice says.
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
	if !errors.As(err, &missing) {
		return nil, err
	}
	r.notice(missing.Error() + "; the host's network is used (" + missing.Remedy + ")")
	return &network{host: true, resolvConf: host}, nil
}

// Addresses of a private network, on a link to which nothing else is attached. As in slirp4netns.
const (
	sandboxAddr = "10.0.2.100"
	resolver    = "10.0.2.3"
	tunName     = "eth0"
	// tunMTU is the largest that leaves room in a 16-bit length; large packets are what makes a stack in user space fast.
	tunMTU = 65520
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
	if n.stack, err = newUserStack(int(space.tun.Fd()), nameservers(hostResolv)); err != nil {
		n.close()
		return nil, fmt.Errorf("making a private network: %w", err)
	}
	// Whoever may administer the network, or write to /proc/sys as root, could leave something behind for the next.
	if !r.Insecure && !r.Unmasked && len(r.CapAdd) == 0 {
		n.leaveTo = r.Networks
	}
	return n, nil
}

// makeNamespace moves the calling thread into a new network namespace and sets up its devices.
func makeNamespace() (ns, tun *os.File, err error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, nil, fmt.Errorf("making a network namespace: %w", err)
	}
	// A tun device belongs to the namespace of the thread that opens the file.
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, decideTun(err)
	}
	// The stack polls the descriptor itself: Go's poller must not have it.
	tun = os.NewFile(uintptr(fd), "/dev/net/tun")
	if err := setUpTun(fd); err != nil {
		tun.Close()
		return nil, nil, err
	}
	if ns, err = os.Open("/proc/thread-self/ns/net"); err != nil {
		tun.Close()
		return nil, nil, fmt.Errorf("opening the network namespace: %w", err)
	}
	return ns, tun, nil
}

func setUpTun(fd int) error {
	req, err := unix.NewIfreq(tunName)
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return decideTun(err)
	}
	// A device that outlives its file goes with its namespace, by a worker of the kernel. It takes tens of milliseconds
	// to take a device away, and whoever closes the last file of another one waits for that.
	if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1); err != nil {
		return fmt.Errorf("setting up network device %s: %w", tunName, err)
	}
	// netlink opens its sockets in the namespace of this thread.
	for _, name := range []string{"lo", tunName} {
		link, err := netlink.LinkByName(name)
		if err == nil {
			err = setUpLink(link)
		}
		if err != nil {
			return fmt.Errorf("setting up network device %s: %w", name, err)
		}
	}
	return nil
}

func setUpLink(link netlink.Link) error {
	if link.Attrs().Name != tunName {
		return netlink.LinkSetUp(link)
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(sandboxAddr).To4(), Mask: net.CIDRMask(32, 32)}}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return err
	}
	if err := netlink.LinkSetMTU(link, tunMTU); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	everything := &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: everything, Scope: netlink.SCOPE_LINK})
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
