// This file owns what comes to published ports: it is led into the sandbox, by the stack or, where the sandbox shares the host's
// network, by a connection of this host.

package network

import (
	"context"
	"errors"
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

// wake lets who waits at the socket go on, or lets others wait there again.
func (p Port) wake(now bool) {
	var deadline time.Time
	if now {
		deadline = time.Unix(1, 0)
	}
	if p.Packets != nil {
		_ = p.Packets.SetReadDeadline(deadline)
	} else if l, ok := p.Listener.(interface{ SetDeadline(time.Time) error }); ok {
		_ = l.SetDeadline(deadline)
	}
}

// way opens connections to a port of the sandbox.
type way interface {
	// stream opens a connection of TCP; done is called when it is closed.
	stream(ctx context.Context, target uint16) (in closingConn, done func(), err error)
	datagrams(target uint16) (net.Conn, error)
}

type closingConn interface {
	halfCloser
	net.Conn
}

// inward serves published ports, by a way to the sandbox.
type inward struct {
	ctx     context.Context // ends with the network
	way     way
	ports   []Port
	waiting sync.WaitGroup
}

// publish serves the ports until stop is called.
func (i *inward) publish(ports []Port) {
	i.ports = append(i.ports, ports...)
	for _, p := range ports {
		p.wake(false)
		if p.Listener != nil {
			i.waiting.Go(func() { i.accept(p) })
		} else {
			i.waiting.Go(func() { i.receive(p) })
		}
	}
}

// stop leaves the sockets to who comes next: nobody waits at them any more. The context has ended before.
func (i *inward) stop() {
	for _, p := range i.ports {
		p.wake(true)
	}
	i.waiting.Wait()
	i.ports = nil
}

// accept leads each connection in by itself.
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
	ctx, cancel := context.WithTimeout(i.ctx, dialTimeout)
	in, done, err := i.way.stream(ctx, target)
	cancel()
	if err != nil {
		return
	}
	defer done()
	defer in.Close()
	defer context.AfterFunc(i.ctx, func() { in.Close(); out.Close() })()
	join(out, in)
}

// receive gives each sender of datagrams a socket of its own in the stack, so that answers find their way.
func (i *inward) receive(p Port) {
	known := &senders{way: i.way, port: p, all: map[string]*sender{}}
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

// intoStack is the way to a sandbox that has a network of its own.
type intoStack struct {
	ip     *stack.Stack
	shares *shares
}

var errFull = errors.New("too many connections")

// open gives the stack the address that connections come from.
func (w intoStack) open() {
	own := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: address(gateway, 0).Addr.WithPrefix()}
	_ = w.ip.AddProtocolAddress(nic, own, stack.AddressProperties{})
}

func (w intoStack) stream(ctx context.Context, target uint16) (closingConn, func(), error) {
	done, ok := w.shares.stream()
	if !ok {
		return nil, nil, errFull
	}
	in, err := gonet.DialTCPWithBind(ctx, w.ip, *address(gateway, 0), *address(sandboxAddr, target), ipv4.ProtocolNumber)
	if err != nil {
		done()
		return nil, nil, err
	}
	return in, done, nil
}

func (w intoStack) datagrams(target uint16) (net.Conn, error) {
	return gonet.DialUDP(w.ip, address(gateway, 0), address(sandboxAddr, target), ipv4.ProtocolNumber)
}

// senders are the sockets that the senders of datagrams to one published port have in the stack.
type senders struct {
	way  way
	port Port
	mu   sync.Mutex
	all  map[string]*sender
}

type sender struct {
	in   net.Conn
	last time.Time // something came from it
}

// of returns the socket of a sender, which is made where it has none.
func (s *senders) of(from net.Addr) (net.Conn, error) {
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
	in, err := s.way.datagrams(s.port.Target)
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
func answers(out net.PacketConn, to net.Addr, in net.Conn) {
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
