// This file owns what leaves a sandbox: each connection and each session of datagrams is opened anew from this process,
// where allowed says so.

package network

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/gbuild/gbuild/internal/netguard"
)

const (
	dialTimeout = 30 * time.Second
	dnsTimeout  = 3 * time.Second // the next nameserver is asked then
)

// outward opens what a sandbox asks for. The stack calls tcp in a goroutine of its own, and udp while it reads packets: so udp
// must not wait for anything.
type outward struct {
	ctx         context.Context // ends with the network
	shares      *shares
	nameservers []netip.AddrPort
	datagrams   tokens // a session each
	queries     tokens // a query of a name each
	sessions    sync.WaitGroup
}

// newOutward counts what it opens against s.
func newOutward(ctx context.Context, s *shares, nameservers []netip.AddrPort) *outward {
	return &outward{ctx: ctx, shares: s, nameservers: nameservers, datagrams: make(tokens, maxSessions), queries: make(tokens, maxQueries)}
}

// allowed says whether a sandbox may reach an address.
func allowed(a netip.Addr) bool {
	return !netguard.Shut(a) && a.Unmap() != netip.MustParseAddr(sandboxAddr)
}

// destinations are the addresses to try for a packet to addr: the host's nameservers for the resolver, else itself.
func (o *outward) destinations(addr tcpip.Address, port uint16) []string {
	a, _ := netip.AddrFromSlice(addr.AsSlice())
	if a.String() == resolver {
		if port != 53 {
			return nil
		}
		list := make([]string, len(o.nameservers))
		for i, n := range o.nameservers {
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
func (o *outward) tcp(r *tcp.ForwarderRequest) {
	done, ok := o.shares.stream()
	if !ok {
		r.Complete(true)
		return
	}
	defer done()
	out, err := o.dial("tcp", o.destinations(r.ID().LocalAddress, r.ID().LocalPort), nil)
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
	defer context.AfterFunc(o.ctx, func() { in.Close(); out.Close() })()
	o.sessions.Add(1)
	defer o.sessions.Done()
	join(out.(*net.TCPConn), in)
}

// controlFunc judges a connection before it is opened, as in net.Dialer; nil judges none.
type controlFunc = func(network, address string, c syscall.RawConn) error

// dial opens the first of the addresses that answers.
func (o *outward) dial(proto string, addrs []string, control controlFunc) (net.Conn, error) {
	err := errors.New("not allowed")
	for _, a := range addrs {
		var c net.Conn
		d := net.Dialer{Timeout: dialTimeout, Control: control}
		if c, err = d.DialContext(o.ctx, proto, a); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// udp starts a session for the first datagram of a source and destination.
func (o *outward) udp(r *udp.ForwarderRequest) {
	dest := o.destinations(r.ID().LocalAddress, r.ID().LocalPort)
	if len(dest) == 0 || !o.datagrams.take() {
		return
	}
	local := r.ID().LocalAddress
	isDNS := local.String() == resolver
	var wq waiter.Queue
	ep, err := r.CreateEndpoint(&wq)
	if err != nil {
		o.datagrams.giveBack()
		return
	}
	in := gonet.NewUDPConn(&wq, ep)
	o.sessions.Go(func() {
		defer o.datagrams.giveBack()
		defer in.Close()
		defer context.AfterFunc(o.ctx, func() { in.Close() })()
		if isDNS {
			o.resolve(in, dest)
			return
		}
		o.relay(in, dest)
	})
}

// relay copies datagrams to the destination and back.
func (o *outward) relay(in net.Conn, dest []string) {
	out, err := o.dial("udp", dest, netguard.Control) // knows what is a broadcast here
	if err != nil {
		return
	}
	defer out.Close()
	defer context.AfterFunc(o.ctx, func() { out.Close() })()
	joinDatagrams(out, in)
}

// resolve answers DNS queries by asking the nameservers one after the other.
func (o *outward) resolve(in net.Conn, servers []string) {
	buf := make([]byte, datagram)
	for {
		_ = in.SetReadDeadline(time.Now().Add(udpIdle))
		n, err := in.Read(buf)
		if err != nil {
			return
		}
		if !o.queries.take() {
			continue
		}
		query := append([]byte(nil), buf[:n]...)
		o.sessions.Go(func() {
			defer o.queries.giveBack()
			if answer := o.ask(query, servers); answer != nil {
				_, _ = in.Write(answer)
			}
		})
	}
}

// ask returns the first answer to a query, or nil. It is handed on as it came: nothing of it is read or changed.
func (o *outward) ask(query []byte, servers []string) []byte {
	for _, server := range servers {
		out, err := o.dial("udp", []string{server}, nil)
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
