package runtime

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// This file owns the device of a private network. It is a tun, of which a file is the other end; or, where /dev/net/tun
// cannot be opened, one of a pair of virtual Ethernet devices, of which the other one is in a second network namespace,
// where only we are, and is read and written by a packet socket. That needs nothing that a user namespace does not give.

// device is what leads out of a network namespace. One of the two is set.
type device struct {
	tun *os.File
	far *os.File // the namespace of the other device of a pair
	mac net.HardwareAddr
}

func (d *device) close() {
	for _, f := range []*os.File{d.tun, d.far} {
		if f != nil {
			f.Close()
		}
	}
}

// makeNamespace moves the calling thread into a new network namespace, and sets up its devices.
func makeNamespace() (ns *os.File, d device, err error) {
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if err := unshareNetwork(); err != nil {
		return nil, d, err
	}
	if noTun := d.makeTun(); noTun != nil {
		d.close()
		d = device{}
		if err := d.makePair(); err != nil {
			return nil, d, missingNetwork(noTun, err)
		}
	}
	for _, name := range []string{"lo", deviceName} {
		if err := setUp(name); err != nil {
			return nil, d, err
		}
	}
	if ns, err = openNamespace(); err != nil {
		return nil, d, err
	}
	return ns, d, nil
}

func unshareNetwork() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return noNetworkNamespace(err)
	}
	return nil
}

func openNamespace() (*os.File, error) {
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("opening the network namespace: %w", err)
	}
	return f, nil
}

// makeTun makes a tun. It belongs to the namespace of the thread that opens the file.
func (d *device) makeTun() error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return decideTun(err)
	}
	// The stack polls the descriptor itself: Go's poller must not have it.
	d.tun = os.NewFile(uintptr(fd), "/dev/net/tun")
	req, err := unix.NewIfreq(deviceName)
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
		return fmt.Errorf("setting up network device %s: %w", deviceName, err)
	}
	return nil
}

// farName is the other device of a pair.
const farName = "far"

// makePair makes a pair of devices: the far one in the namespace in which the calling thread is, the near one in a new
// one, to which the thread goes.
func (d *device) makePair() (err error) {
	if d.far, err = openNamespace(); err != nil {
		return err
	}
	if err := unshareNetwork(); err != nil {
		return err
	}
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: deviceName, MTU: deviceMTU}, PeerName: farName, PeerMTU: deviceMTU,
		PeerNamespace: netlink.NsFd(d.far.Fd())}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("making a pair of network devices: %w", err)
	}
	near, err := netlink.LinkByName(deviceName)
	if err != nil {
		return err
	}
	d.mac = near.Attrs().HardwareAddr
	// Nobody has to be asked for addresses of the link: all goes to the other device.
	return errors.Join(netlink.LinkSetARPOff(near), finishPackets(deviceName))
}

// finishPackets has the kernel complete what it leaves to hardware otherwise: checksums, and with them the cutting of
// large packets.
func finishPackets(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	value := struct{ cmd, data uint32 }{unix.ETHTOOL_STXCSUM, 0}
	req := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&value)}
	copy(req.name[:], name)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req))); errno != 0 {
		return fmt.Errorf("setting up network device %s: %w", name, errno)
	}
	return nil
}

// setUp gives a device its address and route, and sets it up. netlink opens its sockets in the namespace of this thread.
func setUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = setUpLink(link)
	}
	if err != nil {
		return fmt.Errorf("setting up network device %s: %w", name, err)
	}
	return nil
}

func setUpLink(link netlink.Link) error {
	if link.Attrs().Name != deviceName {
		return netlink.LinkSetUp(link)
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(sandboxAddr).To4(), Mask: net.CIDRMask(32, 32)}}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return err
	}
	if err := netlink.LinkSetMTU(link, deviceMTU); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	everything := &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: everything, Scope: netlink.SCOPE_LINK})
}

// link is the other end of a device, as one stack has it.
type link struct {
	endpoint stack.LinkEndpoint
	peer     tcpip.LinkAddress // of the sandbox; empty where packets have no addresses of a link
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
		if err := onThread(func() error { return d.openSocket(l) }); err != nil {
			return nil, decidePair(err)
		}
		l.peer = tcpip.LinkAddress(d.mac)
		o.FDs, o.EthernetHeader, o.Address = []int{int(l.socket.Fd())}, true, farAddress
	}
	var err error
	if l.endpoint, err = fdbased.New(o); err != nil {
		l.close()
		return nil, fmt.Errorf("reading packets of a sandbox: %w", err)
	}
	return l, nil
}

// farAddress is where our packets come from: an address of no maker.
const farAddress = tcpip.LinkAddress("\x02\x00\x0a\x00\x02\x02")

// openSocket opens a packet socket on the other device of a pair; the thread goes to its namespace.
func (d *device) openSocket(l *link) error {
	if err := unix.Setns(int(d.far.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering a network namespace: %w", err)
	}
	far, err := netlink.LinkByName(farName)
	if err == nil {
		err = netlink.LinkSetUp(far)
	}
	if err != nil {
		return fmt.Errorf("setting up network device %s: %w", farName, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a packet socket: %w", err)
	}
	l.socket = os.NewFile(uintptr(fd), "packet")
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<20) // as much as the host lets us
	const ipv4 = unix.ETH_P_IP>>8 | unix.ETH_P_IP&0xff<<8              // in the order of the network
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: ipv4, Ifindex: far.Attrs().Index}); err != nil {
		l.close()
		return fmt.Errorf("binding a packet socket: %w", err)
	}
	return nil
}

// probeVar tells a process that tryPair started what it is for.
const probeVar = "_GBUILD_PROBE_NETWORK"

// tryPair makes a pair of devices in namespaces of a process that ends at once.
func tryPair() error {
	if Entered() {
		return onThread(func() error {
			if err := unshareNetwork(); err != nil {
				return err
			}
			return openPair()
		})
	}
	ids := func(id int) []syscall.SysProcIDMap {
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{probeVar + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: ids(os.Geteuid()), GidMappings: ids(os.Getegid())}
	said, err := cmd.CombinedOutput()
	if len(said) > 0 {
		return errors.New(string(said))
	}
	return err
}

// probePair is the process that tryPair starts.
func probePair() (code int) {
	if err := onThread(openPair); err != nil {
		fmt.Fprint(os.Stderr, err)
		return 1
	}
	return 0
}

func openPair() error {
	var d device
	defer d.close()
	if err := d.makePair(); err != nil {
		return err
	}
	l := &link{}
	defer l.close()
	return d.openSocket(l)
}
