// This file owns a pair of virtual Ethernet devices. The near one is the sandbox's; the far one is in a second network
// namespace, where only this process is, and is read and written by a packet socket. That needs nothing that a user namespace
// does not give.

package network

import (
	"errors"
	"fmt"
	"net"
	"os"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/thread"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// pair is a pair of devices, of which the near one is called deviceName.
type pair struct {
	far *os.File         // the namespace of the far device
	mac net.HardwareAddr // the near device's address of the link
}

// close lets the kernel take the pair away, with the namespace.
func (p *pair) close() { p.far.Close() }

// farName is the far device.
const farName = "far"

// farAddress is where our packets come from: an address of no maker.
const farAddress = tcpip.LinkAddress("\x02\x00\x0a\x00\x02\x02")

// makePair makes the far device in the namespace in which the calling thread is, and the near one in a new one, to which
// the thread goes.
func makePair() (p *pair, err error) {
	far, err := ownNamespace()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			far.Close()
		}
	}()
	if err := unshareForPair(); err != nil {
		return nil, err
	}
	devices := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: deviceName, MTU: deviceMTU}, PeerName: farName, PeerMTU: deviceMTU,
		PeerNamespace: netlink.NsFd(far.Fd())}
	if err := netlink.LinkAdd(devices); err != nil {
		return nil, fmt.Errorf("making a pair of network devices: %w", err)
	}
	near, err := netlink.LinkByName(deviceName)
	if err != nil {
		return nil, err
	}
	// Nobody has to be asked for addresses of the link: all goes to the far device.
	if err := errors.Join(netlink.LinkSetARPOff(near), finishPackets(deviceName)); err != nil {
		return nil, err
	}
	return &pair{far, near.Attrs().HardwareAddr}, nil
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

// open opens a packet socket on the far device.
func (p *pair) open() (socket *os.File, err error) {
	err = thread.Run(func() error {
		if err := unix.Setns(int(p.far.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering a network namespace: %w", err)
		}
		socket, err = openFar()
		return err
	})
	return socket, err
}

// openFar opens the socket in the namespace of the calling thread.
func openFar() (*os.File, error) {
	far, err := netlink.LinkByName(farName)
	if err == nil {
		err = netlink.LinkSetUp(far)
	}
	if err != nil {
		return nil, fmt.Errorf("setting up network device %s: %w", farName, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<20) // the host may give less
	const ipv4 = unix.ETH_P_IP>>8 | unix.ETH_P_IP&0xff<<8              // big-endian
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: ipv4, Ifindex: far.Attrs().Index}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("binding a packet socket: %w", err)
	}
	return os.NewFile(uintptr(fd), "packet"), nil
}
