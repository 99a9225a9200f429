// This file bounds the memory that the connections of a sandbox may take in this process. Bytes that its programs have not read yet
// lie here, where the sandbox's own limit of memory does not count them. When the bound is reached, the sender waits.

package network

import (
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	maxStreams   = 4096     // TCP connections open at once; the next is refused
	maxSessions  = 1024     // sessions of datagrams at once; the next datagram is lost, as in a network that is full
	maxSenders   = 512      // senders to a published port that have a socket each; the one that was silent longest loses it
	maxQueries   = 256      // queries of names that wait for an answer; the next is lost
	allBuffers   = 64 << 20 // bytes that buffers of TCP may have together, before each gets no more than smallBuffer
	largeBuffer  = 1 << 20  // bytes of a connection in each direction, while there are few
	smallBuffer  = 32 << 10
	shareOfSpare = 16 // a connection gets one part of so many of what is left, in each direction
)

// shares divides the buffers among the connections of a stack.
type shares struct {
	ip      *stack.Stack
	mu      sync.Mutex
	streams int
	granted int
}

// stream counts a TCP connection in, and sets the size of the buffers that it will have; done counts it out again.
func (s *shares) stream() (done func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams >= maxStreams {
		return nil, false
	}
	size := min(max((allBuffers-s.granted)/shareOfSpare, smallBuffer), largeBuffer)
	s.streams++
	s.granted += 2 * size
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: smallBuffer, Default: size, Max: largeBuffer}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: smallBuffer, Default: size, Max: size}
	_ = s.ip.SetTransportProtocolOption(tcp.ProtocolNumber, &receive)
	_ = s.ip.SetTransportProtocolOption(tcp.ProtocolNumber, &send)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.streams--
		s.granted -= 2 * size
	}, true
}

// tokens let so many have something at once.
type tokens chan struct{}

// take never waits: what there is too much of is refused.
func (t tokens) take() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

func (t tokens) giveBack() { <-t }
