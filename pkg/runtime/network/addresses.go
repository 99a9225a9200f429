// This file owns the addresses and names of a private network, on a link to which nothing else is attached. The addresses are
// those of slirp4netns.

package network

import (
	"net"

	"gvisor.dev/gvisor/pkg/tcpip"
)

const (
	sandboxAddr = "10.0.2.100"
	gateway     = "10.0.2.2" // connections to published ports come from it
	resolver    = "10.0.2.3" // answers queries of names
)

const (
	deviceName = "eth0"
	// deviceMTU is the largest that leaves room in a 16-bit length; large packets are what makes a stack in user space fast.
	deviceMTU = 65520
)

// nic is the number of the only device that a stack has.
const nic = 1

// address words an address and a port for the stack.
func address(ip string, port uint16) *tcpip.FullAddress {
	return &tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFrom4Slice(net.ParseIP(ip).To4()), Port: port}
}
