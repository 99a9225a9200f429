// This file owns the device of a private network. It is a tun, of which a file is the other end; or, where /dev/net/tun
// cannot be opened, one of a pair of virtual Ethernet devices (pair.go).

package network

import (
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// device is what leads out of a network namespace. Either tun or pair is set.
type device struct {
	tun  *os.File
	pair *pair
}

func (d *device) close() {
	if d.tun != nil {
		d.tun.Close()
	}
	if d.pair != nil {
		d.pair.close()
	}
}

// makeDevice makes the device in the namespace of the calling thread. For a pair the thread goes to another namespace.
func makeDevice() (*device, error) {
	tun, noTun := makeTun()
	if noTun == nil {
		return &device{tun: tun}, nil
	}
	pair, err := makePair()
	if err != nil {
		return nil, &Error{Tun: noTun, Pair: err}
	}
	return &device{pair: pair}, nil
}

// makeTun makes a tun. It belongs to the namespace of the thread that opens the file.
func makeTun() (tun *os.File, err error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	req, err := unix.NewIfreq(deviceName)
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return nil, err
	}
	// A device that outlives its file goes with its namespace, by a worker of the kernel. It takes tens of milliseconds
	// to take a device away, and whoever closes the last file of another one waits for that.
	if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1); err != nil {
		return nil, fmt.Errorf("setting up network device %s: %w", deviceName, err)
	}
	// The stack polls the descriptor itself: Go's poller must not have it.
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

// setUp gives a device its address and route, and sets it up. netlink opens its sockets in the namespace of this thread.
func setUp(name string) error {
	found, err := netlink.LinkByName(name)
	if err == nil && name == deviceName {
		err = setAddress(found)
	}
	if err == nil {
		err = netlink.LinkSetUp(found)
	}
	if err == nil && name == deviceName {
		everything := &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
		err = netlink.RouteAdd(&netlink.Route{LinkIndex: found.Attrs().Index, Dst: everything, Scope: netlink.SCOPE_LINK})
	}
	if err != nil {
		return fmt.Errorf("setting up network device %s: %w", name, err)
	}
	return nil
}

// setAddress gives the device the only address of the sandbox. No other is on its link, so the mask is a whole address.
func setAddress(to netlink.Link) error {
	own := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(sandboxAddr).To4(), Mask: net.CIDRMask(32, 32)}}
	if err := netlink.AddrAdd(to, own); err != nil {
		return err
	}
	return netlink.LinkSetMTU(to, deviceMTU)
}

// link is the other end of a device, as one stack has it. It is opened anew for each sandbox, while the device stays.
type link struct {
	endpoint stack.LinkEndpoint
	peer     tcpip.LinkAddress // the sandbox's; empty where packets have no addresses of a link
	socket   *os.File          // nil: the file is the device's
}

func (l *link) close() {
	if l.socket != nil {
		l.socket.Close()
	}
}

// open opens the other end. A pair's is a new socket each time: in an old one could be packets of another sandbox.
func (d *device) open() (*link, error) {
	o := &fdbased.Options{MTU: deviceMTU, PacketDispatchMode: fdbased.Readv, RXChecksumOffload: true}
	l := &link{}
	if d.tun != nil {
		o.FDs = []int{int(d.tun.Fd())}
	} else {
		var err error
		if l.socket, err = d.pair.open(); err != nil {
			return nil, &Error{Pair: err}
		}
		l.peer = tcpip.LinkAddress(d.pair.mac)
		o.FDs, o.EthernetHeader, o.Address = []int{int(l.socket.Fd())}, true, farAddress
	}
	var err error
	if l.endpoint, err = fdbased.New(o); err != nil {
		l.close()
		return nil, fmt.Errorf("reading packets of a sandbox: %w", err)
	}
	return l, nil
}
