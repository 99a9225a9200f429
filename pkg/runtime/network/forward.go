// This file owns published ports of a sandbox that shares the host's network. There its command listens at the host's own ports. So one
// that is published under its own number needs nobody, and what comes to another one is passed on by a connection within the host.

package network

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Forwarding passes on what comes to published ports, in the host's network.
type Forwarding struct {
	Own, Passed []Port // those that are the command's own, and those that are passed on
	cancel      context.CancelFunc
	in          *inward
}

// Forward passes on what comes to the ports, until it is closed. The sockets of those that are the command's own are closed at once,
// for only one can listen there.
func Forward(ports []Port) (*Forwarding, error) {
	f := &Forwarding{}
	for _, p := range ports {
		if p.number() == p.Target {
			f.Own = append(f.Own, p)
		} else {
			f.Passed = append(f.Passed, p)
		}
	}
	for _, p := range f.Passed {
		for _, other := range f.Passed {
			if p.Target == other.number() && (p.Listener == nil) == (other.Listener == nil) {
				return nil, fmt.Errorf("port %d is published for port %d, and port %d for it: in the host's network, which the container shares, only one can have it", p.Target, other.Target, p.number())
			}
		}
	}
	for _, p := range f.Own {
		p.close()
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel, f.in = cancel, &inward{ctx: ctx, way: withinHost{make(tokens, maxStreams)}}
	f.in.publish(f.Passed)
	return f, nil
}

// String says what -p comes to.
func (f *Forwarding) String() string {
	var said []string
	for _, p := range f.Own {
		said = append(said, fmt.Sprintf("port %d is the command's own, and needs no -p", p.Target))
	}
	for _, p := range f.Passed {
		said = append(said, fmt.Sprintf("port %d is passed on to port %d, which is open beside it", p.number(), p.Target))
	}
	return strings.Join(said, "; ")
}

// Close ends what is passed on, and leaves the sockets open for the next one.
func (f *Forwarding) Close() {
	f.cancel()
	f.in.stop()
}

// number is the port of the host.
func (p Port) number() uint16 {
	var at net.Addr
	if p.Listener != nil {
		at = p.Listener.Addr()
	} else {
		at = p.Packets.LocalAddr()
	}
	_, number, _ := net.SplitHostPort(at.String())
	n, _ := strconv.ParseUint(number, 10, 16)
	return uint16(n)
}

func (p Port) close() {
	if p.Listener != nil {
		p.Listener.Close()
	} else {
		p.Packets.Close()
	}
}

// withinHost is the way to a command that listens in the host's network, at all addresses or at the loopback one.
type withinHost struct{ open tokens }

func (w withinHost) stream(ctx context.Context, target uint16) (closingConn, func(), error) {
	if !w.open.take() {
		return nil, nil, errFull
	}
	var in net.Conn
	var err error
	for _, loopback := range []string{"127.0.0.1", "::1"} {
		if in, err = (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(int(target)))); err == nil {
			break
		}
	}
	if err != nil {
		w.open.giveBack()
		return nil, nil, err
	}
	return in.(*net.TCPConn), w.open.giveBack, nil
}

func (w withinHost) datagrams(target uint16) (net.Conn, error) {
	return net.Dial("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(target))))
}
