package runtime

// What the connections of a sandbox may take of this process: what its programs leave unread is outside of their own
// limit of memory, and the host that sends it waits.

import (
	"net"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	maxStreams   = 4096     // TCP connections open at once; the next is refused
	maxSessions  = 1024     // of datagrams, open at once; the next datagram is lost, as in a network that is full
	maxSenders   = 512      // to a published port that have a socket each; the one that was silent longest loses it
	maxQueries   = 256      // of names that wait for an answer; the next is lost
	allBuffers   = 64 << 20 // bytes that buffers of TCP may have together, before each gets no more than smallBuffer
	largeBuffer  = 1 << 20  // of a connection in each direction, while there are few
	smallBuffer  = 32 << 10
	shareOfSpare = 16 // a connection gets one part of so many of what is left, in each direction
)

// shares parts the buffers among connections.
type shares struct {
	mu      sync.Mutex
	streams int
	granted int
}

// stream counts a TCP connection in, and sets the size of the buffers that it will have; done counts it out again.
func (s *userStack) stream() (done func(), ok bool) {
	s.shares.mu.Lock()
	defer s.shares.mu.Unlock()
	if s.shares.streams >= maxStreams {
		return nil, false
	}
	size := min(max((allBuffers-s.shares.granted)/shareOfSpare, smallBuffer), largeBuffer)
	s.shares.streams++
	s.shares.granted += 2 * size
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: smallBuffer, Default: size, Max: largeBuffer}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: smallBuffer, Default: size, Max: size}
	_ = s.SetTransportProtocolOption(tcp.ProtocolNumber, &receive)
	_ = s.SetTransportProtocolOption(tcp.ProtocolNumber, &send)
	return func() {
		s.shares.mu.Lock()
		defer s.shares.mu.Unlock()
		s.shares.streams--
		s.shares.granted -= 2 * size
	}, true
}

// tokens let so many have something at once.
type tokens chan struct{}

func (t tokens) take() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

func (t tokens) giveBack() { <-t }

// senders are the sockets that the senders of datagrams to one published port have in the stack.
type senders struct {
	stack *userStack
	port  Port
	mu    sync.Mutex
	all   map[string]*sender
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
	in, err := gonet.DialUDP(s.stack.Stack, address(gateway, 0), address(sandboxAddr, s.port.Target), ipv4.ProtocolNumber)
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
