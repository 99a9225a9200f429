// This file owns the TCP/IP stack on the far end of a sandbox's device, and puts its two sides together.

package network

import (
	"context"
	"errors"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// maxDialling is how many connections may be being opened at once.
const maxDialling = 1024

// userStack is the stack of one sandbox.
type userStack struct {
	ip     *stack.Stack
	link   *link
	cancel context.CancelFunc // ends all connections
	out    *outward
	in     *inward
}

// newUserStack makes the stack on the far end of a device.
func newUserStack(d *device, nameservers []netip.AddrPort) (*userStack, error) {
	l, err := d.open()
	if err != nil {
		return nil, err
	}
	ip := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
	})
	ctx, cancel := context.WithCancel(context.Background())
	common := &shares{ip: ip}
	s := &userStack{ip: ip, link: l, cancel: cancel, out: newOutward(ctx, common, nameservers), in: &inward{ctx: ctx, way: intoStack{ip, common}}}
	if err := s.setUp(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// setUp takes every packet, whatever its address is, to the two forwarders.
func (s *userStack) setUp() error {
	sack := tcpip.TCPSACKEnabled(true)
	for _, err := range []tcpip.Error{
		s.ip.SetTransportProtocolOption(tcp.ProtocolNumber, &sack),
		s.ip.CreateNIC(nic, s.link.endpoint),
		s.ip.SetPromiscuousMode(nic, true),
		s.ip.SetSpoofing(nic, true),
	} {
		if err != nil {
			return errors.New(err.String())
		}
	}
	everything, err := tcpip.NewSubnet(tcpip.AddrFrom4([4]byte{}), tcpip.MaskFromBytes(make([]byte, 4)))
	if err != nil {
		return err
	}
	if peer := s.link.peer; peer != "" {
		if err := s.ip.AddStaticNeighbor(nic, ipv4.ProtocolNumber, address(sandboxAddr, 0).Addr, peer); err != nil {
			return errors.New(err.String())
		}
	}
	s.ip.SetRouteTable([]tcpip.Route{{Destination: everything, NIC: nic}})
	s.ip.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(s.ip, 0, maxDialling, s.out.tcp).HandlePacket)
	s.ip.SetTransportProtocolHandler(udp.ProtocolNumber, udp.NewForwarder(s.ip, s.out.udp).HandlePacket)
	return nil
}

// close ends all connections, and waits for those who copy: they hold the device.
func (s *userStack) close() {
	s.cancel()
	s.in.stop()
	s.ip.Destroy()
	s.out.sessions.Wait()
	s.link.close()
}
