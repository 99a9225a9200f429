// This file owns what comes to published ports: it is led into the sandbox.

package network

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

// inward opens connections to the sandbox, by its stack.
type inward struct {
	ctx    context.Context // ends with the network
	ip     *stack.Stack
	shares *shares
}

// publish serves the ports until the stack is closed.
func (i *inward) publish(ports []Port) {
	if len(ports) == 0 {
		return
	}
	own := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: address(gateway, 0).Addr.WithPrefix()}
	_ = i.ip.AddProtocolAddress(nic, own, stack.AddressProperties{})
	for _, p := range ports {
		if p.Listener != nil {
			go i.accept(p)
		} else {
			go i.receive(p)
		}
	}
}

// accept leads each connection in by itself. It ends with its listener, or with the network at the next connection.
func (i *inward) accept(p Port) {
	for {
		out, err := p.Listener.Accept()
		if err != nil {
			return
		}
		if i.ctx.Err() != nil {
			out.Close()
			return
		}
		go i.lead(out.(*net.TCPConn), p.Target)
	}
}

// lead opens the connection in the sandbox. Where nobody listens there, the outer one is closed without a word.
func (i *inward) lead(out *net.TCPConn, target uint16) {
	defer out.Close()
	done, ok := i.shares.stream()
	if !ok {
		return
	}
	defer done()
	ctx, cancel := context.WithTimeout(i.ctx, dialTimeout)
	in, err := gonet.DialTCPWithBind(ctx, i.ip, *address(gateway, 0), *address(sandboxAddr, target), ipv4.ProtocolNumber)
	cancel()
	if err != nil {
		return
	}
	defer in.Close()
	defer context.AfterFunc(i.ctx, func() { in.Close(); out.Close() })()
	join(out, in)
}

// receive gives each sender of datagrams a socket of its own in the stack, so that answers find their way.
func (i *inward) receive(p Port) {
	known := &senders{ip: i.ip, port: p, all: map[string]*sender{}}
	buf := make([]byte, datagram)
	for {
		n, from, err := p.Packets.ReadFrom(buf)
		if err != nil || i.ctx.Err() != nil {
			return
		}
		if in, err := known.of(from); err == nil {
			_, _ = in.Write(buf[:n])
		}
	}
}

// senders are the sockets that the senders of datagrams to one published port have in the stack.
type senders struct {
	ip   *stack.Stack
	port Port
	mu   sync.Mutex
	all  map[string]*sender
}

type sender struct {
	in   *gonet.UDPConn
	last time.Time // something came from it
}

// of returns the socket of a sender, which is made where it has none.
func (s *senders) of(from net.Addr) (*gonet.UDPConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := from.String()
	if known := s.all[name]; known != nil {
		known.last = time.Now()
		return known.in, nil
	}
	if len(s.all) >= maxSenders {
		s.dropOldest()
	}
	in, err := gonet.DialUDP(s.ip, address(gateway, 0), address(sandboxAddr, s.port.Target), ipv4.ProtocolNumber)
	if err != nil {
		return nil, err
	}
	made := &sender{in, time.Now()}
	s.all[name] = made
	go func() {
		answers(s.port.Packets, from, in)
		in.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.all[name] == made {
			delete(s.all, name)
		}
	}()
	return in, nil
}

// dropOldest closes the socket of the sender that was silent longest.
func (s *senders) dropOldest() {
	var oldest string
	for name, one := range s.all {
		if oldest == "" || one.last.Before(s.all[oldest].last) {
			oldest = name
		}
	}
	s.all[oldest].in.Close()
	delete(s.all, oldest)
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
