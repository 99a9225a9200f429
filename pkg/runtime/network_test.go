package runtime

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func needTun(t testing.TB) {
	t.Helper()
	if err := tryTun(); err != nil {
		t.Skip("no tun device:", err)
	}
}

// ownAddress is an IPv4 address of this machine that is not loopback.
func ownAddress(t testing.TB) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	must(t, err)
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no address but loopback")
	return ""
}

// serve answers on addr and counts in hits.
func serve(t testing.TB, addr string, h http.HandlerFunc) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	must(t, err)
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	s.Start()
	t.Cleanup(s.Close)
	return l.Addr().(*net.TCPAddr).Port
}

func private(s *Sandbox) { s.Network = "private" }

func TestNetworkPrivate(t *testing.T) {
	root, _ := busyboxRoot(t)
	needTun(t)
	own := ownAddress(t)
	open := serve(t, own, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprintln(w, "received", n)
			return
		}
		fmt.Fprint(w, strings.Repeat("0123456789", 1<<20))
	})
	reached := false
	closed := serve(t, "127.0.0.1", func(http.ResponseWriter, *http.Request) { reached = true })
	got := runShell(t, root, fmt.Sprintf(`
		wget -q -O - http://%[1]s:%[2]d/ | wc -c
		(printf 'POST / HTTP/1.0\r\nContent-Length: 3000000\r\n\r\n'; head -c 3000000 /dev/zero) | nc %[1]s %[2]d | tail -1
		for a in 127.0.0.1 0.0.0.0 10.0.2.2 10.0.2.3 169.254.169.254 localhost; do
			timeout 3 wget -q -O - http://$a:%[3]d/ && echo reached $a
		done
		cat /etc/resolv.conf; ip -o addr | tr -s ' ' | cut -d' ' -f2-4; cat /sys/class/net/eth0/mtu`, own, open, closed), private)
	t.Log(got)
	for _, want := range []string{"10485760\n", "received 3000000\n", "nameserver 10.0.2.3\n", "eth0 inet 10.0.2.100/32", "65520\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the output", want)
		}
	}
	if reached || strings.Contains(got, "reached") {
		t.Error("the host's loopback was reached")
	}
}

func TestNetworkNoneAndHost(t *testing.T) {
	root, _ := busyboxRoot(t)
	port := serve(t, "127.0.0.1", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	script := fmt.Sprintf("timeout 2 wget -q -O - http://127.0.0.1:%d/; ls /sys/class/net | tr '\\n' ' '; cat /proc/net/unix | wc -l; for d in /sys/fs/cgroup /sys/fs/cgroup/*; do touch $d/x; done 2>&1 | grep -v Read-only; mount | grep ' /sys' | grep -v 'ro,'; true", port)
	got := runShell(t, root, script, func(s *Sandbox) { s.Network = "host" })
	if !strings.HasPrefix(got, "hello\n") || strings.Contains(got, "touch") || strings.Contains(got, " on /sys") {
		t.Error("host:", got)
	}
	got = runShell(t, root, script)
	if strings.Contains(got, "hello") || !strings.Contains(got, "\nlo 1\n") {
		t.Error("none:", got)
	}
}

func TestNetworkUDP(t *testing.T) {
	root, _ := busyboxRoot(t)
	needTun(t)
	own := ownAddress(t)
	l, err := net.ListenPacket("udp4", own+":0")
	must(t, err)
	defer l.Close()
	go func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := l.ReadFrom(buf)
			if err != nil {
				return
			}
			if n > 2 && buf[1] == 1 { // TFTP (RFC 1350): a read request, answered by the only block
				_, _ = l.WriteTo([]byte("\x00\x03\x00\x01got "+strings.Split(string(buf[2:n]), "\x00")[0]), from)
			}
		}
	}()
	got := runShell(t, root, fmt.Sprintf("tftp -g -r ping -l /tmp/out %s %d; cat /tmp/out", own, l.LocalAddr().(*net.UDPAddr).Port), private)
	if got != "got ping" {
		t.Errorf("%q", got)
	}
}

func TestNetworkFallsBackWithANotice(t *testing.T) {
	root, _ := busyboxRoot(t)
	if tryTun() == nil {
		t.Skip("there is a tun device")
	}
	var notices []string
	runShell(t, root, "true", private, func(s *Sandbox) { s.Notice = func(n string) { notices = append(notices, n) } })
	if len(notices) != 1 || !strings.Contains(notices[0], "/dev/net/tun") {
		t.Error(notices)
	}
}

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
	if got, want := privateResolvConf(host), "nameserver 10.0.2.3\noptions edns0 trust-ad\nsearch a.example b.example\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := fmt.Sprint(nameservers(host)), "[127.0.0.53:53 [fe80::1%eth0]:53]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestNetworkResolves(t *testing.T) {
	needEntered(t)
	upstream, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	defer upstream.Close()
	go func() {
		buf := make([]byte, 512)
		n, from, err := upstream.ReadFrom(buf)
		if err == nil {
			_, _ = upstream.WriteTo(append([]byte("answer to "), buf[:n]...), from)
		}
	}()
	s := &userStack{}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	dead := "127.0.0.1:1" // refuses at once
	if got := string(s.ask([]byte("query"), []string{dead, upstream.LocalAddr().String()})); got != "answer to query" {
		t.Errorf("%q", got)
	}
}

// A network goes to the next sandbox, which finds it as new, and not from one that could have changed it.
func TestNetworksAreUsedAgain(t *testing.T) {
	root, _ := busyboxRoot(t)
	needTun(t)
	own := ownAddress(t)
	port := serve(t, own, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello ") })
	var nets Networks
	defer nets.Close()
	run := func(change func(*Sandbox)) (namespace string) {
		t.Helper()
		script := fmt.Sprintf("wget -q -O - http://%s:%d/; ip route add 10.9.9.9/32 dev eth0 2>/dev/null; ip route | wc -l; readlink /proc/self/ns/net", own, port)
		got := runShell(t, root, script, private, func(s *Sandbox) { s.Networks = &nets }, change)
		answer, namespace, _ := strings.Cut(got, "\n")
		if answer != "hello 1" && answer != "hello 2" {
			t.Errorf("%q", got)
		}
		return namespace
	}
	same := func(*Sandbox) {}
	first := run(same)
	for range 3 {
		if again := run(same); again != first {
			t.Errorf("%s is not used again, but %s", first, again)
		}
	}
	for name, mighty := range map[string]func(*Sandbox){
		"insecure": func(s *Sandbox) { s.Insecure = true },
		"unmasked": func(s *Sandbox) { s.Unmasked = true },
		"caps":     func(s *Sandbox) { s.CapAdd = []string{"NET_ADMIN"} },
	} {
		used := run(mighty)
		if len(nets.idle) != 0 {
			t.Errorf("%s: %s waits for the next sandbox", name, used)
		}
	}
}
