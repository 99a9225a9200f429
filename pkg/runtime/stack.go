package runtime

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/gbuild/gbuild/internal/netguard"
)

const (
	nic         = 1
	dialTimeout = 30 * time.Second
	udpIdle     = 60 * time.Second
	dnsTimeout  = 3 * time.Second // for each nameserver
	maxDialling = 1024            // connections that are being opened at once
	datagram    = 65535
)

// userStack is a TCP/IP stack on the far end of a sandbox's device. Each connection that comes out of the sandbox is opened
// anew by this process, where allowed says so.
type userStack struct {
	*stack.Stack
	link        *link
	nameservers []netip.AddrPort
	ctx         context.Context
	cancel      context.CancelFunc
	sessions    sync.WaitGroup
	shares      shares
	datagrams   tokens // a session each
	queries     tokens // a query of a name each
}

func newUserStack(d device, nameservers []netip.AddrPort) (*userStack, error) {
	link, err := d.open()
	if err != nil {
		return nil, err
	}
	s := &userStack{link: link, nameservers: nameservers, datagrams: make(tokens, maxSessions), queries: make(tokens, maxQueries), Stack: stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
	})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
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
		s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack),
		s.CreateNIC(nic, s.link.endpoint),
		s.SetPromiscuousMode(nic, true),
		s.SetSpoofing(nic, true),
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
		if err := s.AddStaticNeighbor(nic, ipv4.ProtocolNumber, address(sandboxAddr, 0).Addr, peer); err != nil {
			return errors.New(err.String())
		}
	}
	s.SetRouteTable([]tcpip.Route{{Destination: everything, NIC: nic}})
	s.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(s.Stack, 0, maxDialling, s.tcp).HandlePacket)
	s.SetTransportProtocolHandler(udp.ProtocolNumber, udp.NewForwarder(s.Stack, s.udp).HandlePacket)
	return nil
}

func (s *userStack) close() {
	s.cancel()
	s.Destroy()
	s.sessions.Wait()
	s.link.close()
}

// allowed says whether a sandbox may reach an address.
func allowed(a netip.Addr) bool {
	return !netguard.Shut(a) && a.Unmap() != netip.MustParseAddr(sandboxAddr)
}

// destinations are the addresses to try for a packet to addr: the host's nameservers for the resolver, else itself.
func (s *userStack) destinations(addr tcpip.Address, port uint16) []string {
	a, _ := netip.AddrFromSlice(addr.AsSlice())
	if a.String() == resolver {
		if port != 53 {
			return nil
		}
		list := make([]string, len(s.nameservers))
		for i, n := range s.nameservers {
			list[i] = n.String()
		}
		return list
	}
	if !allowed(a) {
		return nil
	}
	return []string{netip.AddrPortFrom(a, port).String()}
}

// tcp answers one connection request: first the connection outwards, then the handshake, so that the sandbox sees
// whether there is anybody.
func (s *userStack) tcp(r *tcp.ForwarderRequest) {
	done, ok := s.stream()
	if !ok {
		r.Complete(true)
		return
	}
	defer done()
	out, err := s.dial("tcp", s.destinations(r.ID().LocalAddress, r.ID().LocalPort), nil)
	if err != nil {
		r.Complete(true)
		return
	}
	defer out.Close()
	var wq waiter.Queue
	ep, tcpErr := r.CreateEndpoint(&wq)
	r.Complete(tcpErr != nil)
	if tcpErr != nil {
		return
	}
	in := gonet.NewTCPConn(&wq, ep)
	defer in.Close()
	defer context.AfterFunc(s.ctx, func() { in.Close(); out.Close() })()
	s.sessions.Add(1)
	defer s.sessions.Done()
	var both sync.WaitGroup
	both.Go(func() { stream(out.(*net.TCPConn), in) })
	both.Go(func() { stream(in, out.(*net.TCPConn)) })
	both.Wait()
}

// halfCloser is a connection of which one direction can be ended.
type halfCloser interface {
	io.ReadWriter
	CloseWrite() error
	CloseRead() error
}

func stream(to, from halfCloser) {
	_, _ = io.Copy(to, from)
	_ = to.CloseWrite()
	_ = from.CloseRead()
}

// controlFunc judges a connection before it is opened, as in net.Dialer; nil judges none.
type controlFunc = func(network, address string, c syscall.RawConn) error

// dial opens the first of the addresses that answers.
func (s *userStack) dial(proto string, addrs []string, control controlFunc) (net.Conn, error) {
	err := errors.New("not allowed")
	for _, a := range addrs {
		var c net.Conn
		d := net.Dialer{Timeout: dialTimeout, Control: control}
		if c, err = d.DialContext(s.ctx, proto, a); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// udp starts a session for the first datagram of a source and destination.
func (s *userStack) udp(r *udp.ForwarderRequest) {
	dest := s.destinations(r.ID().LocalAddress, r.ID().LocalPort)
	if len(dest) == 0 {
		return
	}
	if !s.datagrams.take() {
		return
	}
	local := r.ID().LocalAddress
	isDNS := local.String() == resolver
	var wq waiter.Queue
	ep, err := r.CreateEndpoint(&wq)
	if err != nil {
		s.datagrams.giveBack()
		return
	}
	in := gonet.NewUDPConn(&wq, ep)
	s.sessions.Go(func() {
		defer s.datagrams.giveBack()
		defer in.Close()
		defer context.AfterFunc(s.ctx, func() { in.Close() })()
		if isDNS {
			s.resolve(in, dest)
			return
		}
		s.relay(in, dest)
	})
}

// relay copies datagrams both ways until none came for a while.
func (s *userStack) relay(in net.Conn, dest []string) {
	out, err := s.dial("udp", dest, netguard.Control) // which knows what is a broadcast here
	if err != nil {
		return
	}
	defer out.Close()
	defer context.AfterFunc(s.ctx, func() { out.Close() })()
	var both sync.WaitGroup
	both.Go(func() { datagrams(out, in) })
	both.Go(func() { datagrams(in, out) })
	both.Wait()
}

// datagrams copies one way. Traffic of either way keeps both open: each sets the other's deadline too.
func datagrams(to, from net.Conn) {
	buf := make([]byte, datagram)
	for {
		_ = from.SetReadDeadline(time.Now().Add(udpIdle))
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		_ = to.SetReadDeadline(time.Now().Add(udpIdle))
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// resolve answers DNS queries by asking the nameservers one after the other.
func (s *userStack) resolve(in net.Conn, servers []string) {
	buf := make([]byte, datagram)
	for {
		_ = in.SetReadDeadline(time.Now().Add(udpIdle))
		n, err := in.Read(buf)
		if err != nil {
			return
		}
		if !s.queries.take() {
			continue
		}
		query := append([]byte(nil), buf[:n]...)
		s.sessions.Go(func() {
			defer s.queries.giveBack()
			if answer := s.ask(query, servers); answer != nil {
				_, _ = in.Write(answer)
			}
		})
	}
}

func (s *userStack) ask(query []byte, servers []string) []byte {
	for _, server := range servers {
		out, err := s.dial("udp", []string{server}, nil)
		if err != nil {
			continue
		}
		_ = out.SetDeadline(time.Now().Add(dnsTimeout))
		buf := make([]byte, datagram)
		n := 0
		if _, err = out.Write(query); err == nil {
			n, err = out.Read(buf)
		}
		out.Close()
		if err == nil {
			return buf[:n]
		}
	}
	return nil
}
