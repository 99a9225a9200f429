package network

import (
	"fmt"
	"net"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/loopback"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// bareStack is a stack without a sandbox.
func bareStack(t *testing.T) *stack.Stack {
	t.Helper()
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	t.Cleanup(s.Destroy)
	if err := s.CreateNIC(nic, loopback.New()); err != nil {
		t.Fatal(err)
	}
	own := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: address(gateway, 0).Addr.WithPrefix()}
	if err := s.AddProtocolAddress(nic, own, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: address(sandboxAddr, 0).Addr.WithPrefix().Subnet(), NIC: nic}})
	return s
}

// However many connections are open, their buffers have a bound together, and there is an end to their number.
func TestStreamsShareTheirBuffers(t *testing.T) {
	s := &shares{ip: bareStack(t)}
	var all []func()
	for i := range maxStreams {
		done, ok := s.stream()
		if !ok {
			t.Fatalf("connection %d was refused", i)
		}
		all = append(all, done)
		var send tcpip.TCPSendBufferSizeRangeOption
		if err := s.ip.TransportProtocolOption(tcp.ProtocolNumber, &send); err != nil {
			t.Fatal(err)
		}
		if i < 8 && send.Default != largeBuffer || send.Default < smallBuffer || send.Max > largeBuffer {
			t.Fatalf("connection %d has buffers of %d, up to %d", i, send.Default, send.Max)
		}
	}
	if most := allBuffers + 2*smallBuffer*maxStreams; s.granted > most {
		t.Errorf("%d MiB of buffers", s.granted>>20)
	}
	if _, ok := s.stream(); ok {
		t.Errorf("there are more than %d connections", maxStreams)
	}
	for _, done := range all {
		done()
	}
	if s.streams != 0 || s.granted != 0 {
		t.Errorf("%d connections and %d bytes stay", s.streams, s.granted)
	}
}

// A published port keeps so many sockets, whatever addresses datagrams say that they come from; the sender that was
// silent longest loses its own.
func TestSendersAreBounded(t *testing.T) {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	known := &senders{way: intoStack{ip: bareStack(t)}, port: Port{Packets: packets, Target: 53}, all: map[string]*sender{}}
	from := func(i int) net.Addr {
		return &net.UDPAddr{IP: net.IPv4(127, byte(i>>16), byte(i>>8), byte(i)), Port: 1000}
	}
	first, err := known.of(from(1))
	if err != nil {
		t.Fatal(err)
	}
	for i := 2; i < 3*maxSenders; i++ {
		if _, err := known.of(from(i)); err != nil {
			t.Fatal(i, err)
		}
		time.Sleep(time.Microsecond)
		if again, err := known.of(from(1)); err != nil || again != first {
			t.Fatalf("the sender that goes on lost its socket after %d others: %v", i, err)
		}
	}
	known.mu.Lock()
	defer known.mu.Unlock()
	if len(known.all) != maxSenders || known.all[fmt.Sprint(from(3*maxSenders-1))] == nil || known.all[fmt.Sprint(from(2))] != nil {
		t.Errorf("%d senders have a socket, of %d", len(known.all), maxSenders)
	}
}
