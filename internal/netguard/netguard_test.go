package netguard

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestShut(t *testing.T) {
	for text, list := range map[bool]string{
		false: `93.184.216.34 10.1.2.3 172.17.0.1 192.168.0.1 100.64.0.1 100.100.100.201 168.63.129.17 192.0.0.193 192.0.2.1
			2001:db8::1 2606:4700::1111 fd00::1 fd00:ec3::1 fd12:3456::1 64:ff9b::8.8.8.8 64:ff9b:1::808:808 2002:808:808::1
			::ffff:8.8.8.8 2001:0:4136:e378:8000:63bf:f7f7:f7f7`,
		true: `127.0.0.1 127.9.9.9 0.0.0.0 0.1.2.3 169.254.169.254 169.254.1.1 169.254.170.2 224.0.0.1 239.255.255.250
			255.255.255.255 240.0.0.1 168.63.129.16 100.100.100.200 192.0.0.192
			::1 :: ::1%lo fe80::1 fe80::1%eth0 fe80::a9fe:a9fe febf::1 ff02::1
			fd00:ec2::254 fd00:ec2::254%eth0 fd00:ec2::23 fd20:ce::254 fd00:42::42 fd00:c1::a9fe:a9fe fd00:a9fe:a9fe::1
			::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:168.63.129.16 ::ffff:0.0.0.0 ::127.0.0.1 ::169.254.169.254
			::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::169.254.169.254 64:ff9b::100.100.100.200 64:ff9b:1::a9fe:a9fe
			64:ff9b:1:2:3:4:7f00:1 2002:7f00:1:: 2002:a9fe:a9fe::1 2002:a83f:8110:1::5 2001:0:808:808:0:0:80ff:fffe`,
	} {
		for _, addr := range strings.Fields(list) {
			if got := Shut(netip.MustParseAddr(addr)); got != text {
				t.Errorf("%s: shut is %v", addr, got)
			}
		}
	}
	if !Shut(netip.Addr{}) {
		t.Error("no address is open")
	}
}

// A name is judged by what it resolves to, and each address of a redirect for itself.
func TestControl(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	d := net.Dialer{Control: Control}
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", "::1", "::ffff:127.0.0.1", "127.1"} {
		c, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		var refused *Error
		if err == nil || host != "127.1" && !errors.As(err, &refused) {
			t.Errorf("%s: %v, %v", host, c, err)
		}
	}
}

// The broadcast address of an own network is an address as any other, but for the kernel.
func TestControlTakesBroadcastAway(t *testing.T) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	d := net.Dialer{Control: Control}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.To4() == nil || !n.IP.IsGlobalUnicast() {
			continue
		}
		if ones, _ := n.Mask.Size(); ones > 30 {
			continue
		}
		last := make(net.IP, 4)
		for i, b := range n.IP.To4() {
			last[i] = b | ^n.Mask[len(n.Mask)-4+i]
		}
		if open, err := net.Dial("udp", net.JoinHostPort(last.String(), "9")); err == nil {
			open.Close()
		} else {
			continue // it is none here
		}
		if _, err := d.DialContext(t.Context(), "udp", net.JoinHostPort(last.String(), "9")); !errors.Is(err, unix.EACCES) {
			t.Errorf("broadcast to %s: %v", last, err)
		}
		return
	}
	t.Skip("this machine has no network with a broadcast address")
}
