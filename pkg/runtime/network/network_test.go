package network

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
)

func TestNetworkAllowed(t *testing.T) {
	for addr, want := range map[string]bool{
		"93.184.216.34": true, "10.1.2.3": true, "192.168.0.1": true, "2001:db8::1": true, "10.0.2.3": true,
		"127.0.0.1": false, "127.9.9.9": false, "0.0.0.0": false, "0.1.2.3": false, "169.254.169.254": false,
		"169.254.1.1": false, "224.0.0.1": false, "255.255.255.255": false, "240.0.0.1": false, "10.0.2.100": false,
		"::1": false, "::": false, "::ffff:127.0.0.1": false, "fe80::1": false, "fd00:ec2::254": false, "fd00:ec3::1": true,
	} {
		if got := allowed(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	if allowed(netip.Addr{}) {
		t.Error("no address is allowed")
	}
}

func TestResolvConf(t *testing.T) {
	host := "# x\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nnameserver junk\noptions edns0 trust-ad\nsearch a.example b.example\n"
	if got, want := ResolvConf(host), "nameserver 10.0.2.3\noptions edns0 trust-ad\nsearch a.example b.example\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := fmt.Sprint(nameservers(host)), "[127.0.0.53:53 [fe80::1%eth0]:53]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestNetworkResolves(t *testing.T) {
	upstream, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.Close()
	go func() {
		buf := make([]byte, 512)
		n, from, err := upstream.ReadFrom(buf)
		if err == nil {
			_, _ = upstream.WriteTo(append([]byte("answer to "), buf[:n]...), from)
		}
	}()
	s := newOutward(t.Context(), &shares{}, nil)
	dead := "127.0.0.1:1" // refuses at once
	if got := string(s.ask([]byte("query"), []string{dead, upstream.LocalAddr().String()})); got != "answer to query" {
		t.Errorf("%q", got)
	}
}
