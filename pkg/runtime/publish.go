package runtime

import (
	"context"
	"net"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Port leads what comes to a socket of the host to a port of the sandbox. Either Listener or Packets is set; both are
// the caller's to close.
type Port struct {
	Listener net.Listener
	Packets  net.PacketConn
	Target   uint16
}

// gateway is the address from which connections to published ports come.
const gateway = "10.0.2.2"

func address(ip string, port uint16) *tcpip.FullAddress {
	return &tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFrom4Slice(net.ParseIP(ip).To4()), Port: port}
}

// publish serves the ports until the stack is closed.
func (s *userStack) publish(ports []Port) {
	if len(ports) == 0 {
		return
	}
	own := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: address(gateway, 0).Addr.WithPrefix()}
	_ = s.AddProtocolAddress(nic, own, stack.AddressProperties{})
	for _, p := range ports {
		if p.Listener != nil {
			go s.accept(p)
		} else {
			go s.receive(p)
		}
	}
}

func (s *userStack) accept(p Port) {
	for {
		out, err := p.Listener.Accept()
		if err != nil {
			return
		}
		if s.ctx.Err() != nil {
			out.Close()
			return
		}
		go s.lead(out.(*net.TCPConn), p.Target)
	}
}

func (s *userStack) lead(out *net.TCPConn, target uint16) {
	defer out.Close()
	done, ok := s.stream()
	if !ok {
		return
	}
	defer done()
	ctx, cancel := context.WithTimeout(s.ctx, dialTimeout)
	in, err := gonet.DialTCPWithBind(ctx, s.Stack, *address(gateway, 0), *address(sandboxAddr, target), ipv4.ProtocolNumber)
	cancel()
	if err != nil {
		return
	}
	defer in.Close()
	defer context.AfterFunc(s.ctx, func() { in.Close(); out.Close() })()
	var both sync.WaitGroup
	both.Go(func() { stream(out, in) })
	both.Go(func() { stream(in, out) })
	both.Wait()
}

// receive gives each sender of datagrams a socket of its own in the stack, so that answers find their way.
func (s *userStack) receive(p Port) {
	known := &senders{stack: s, port: p, all: map[string]*sender{}}
	buf := make([]byte, datagram)
	for {
		n, from, err := p.Packets.ReadFrom(buf)
		if err != nil || s.ctx.Err() != nil {
			return
		}
		if in, err := known.of(from); err == nil {
			_, _ = in.Write(buf[:n])
		}
	}
}

// answers copies what the sandbox says to one sender, until it has been silent for a while.
func answers(out net.PacketConn, to net.Addr, in *gonet.UDPConn) {
	buf := make([]byte, datagram)
	for {
		_ = in.SetReadDeadline(time.Now().Add(udpIdle))
		n, err := in.Read(buf)
		if err != nil {
			return
		}
		if _, err := out.WriteTo(buf[:n], to); err != nil {
			return
		}
	}
}
