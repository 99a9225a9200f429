package runtime

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/testself"
	"github.com/gbuild/gbuild/pkg/runtime/host"
	"github.com/gbuild/gbuild/pkg/runtime/network"
)

// byEachDevice runs a test with a tun, where there is one, and with a pair of virtual Ethernet devices.
func byEachDevice(t *testing.T, test func(*testing.T)) {
	needEntered(t)
	t.Run("tun", func(t *testing.T) {
		if err := network.TryTun(); err != nil {
			t.Skip("no tun device:", err)
		}
		test(t)
	})
	t.Run("pair", func(t *testing.T) {
		withoutTun(t)
		test(t)
	})
}

// withoutTun hides /dev/net/tun for the time of a test, in the mount namespace of these tests.
func withoutTun(t testing.TB) {
	t.Helper()
	needEntered(t)
	if _, err := os.Stat("/dev/net"); err == nil {
		must(t, unix.Mount("tmpfs", "/dev/net", "tmpfs", 0, ""))
		t.Cleanup(func() { must(t, unix.Unmount("/dev/net", unix.MNT_DETACH)) })
	}
	if network.TryTun() == nil {
		t.Fatal("/dev/net/tun is still there")
	}
}

// withoutNamespaces lets nobody here make a network namespace for the time of a test.
func withoutNamespaces(t testing.TB) {
	t.Helper()
	needEntered(t)
	const limit = "/proc/sys/user/max_net_namespaces"
	before := host.ReadSetting(limit)
	if err := os.WriteFile(limit, []byte("0"), 0o644); err != nil {
		t.Skip("the number of network namespaces cannot be limited:", err)
	}
	t.Cleanup(func() { must(t, os.WriteFile(limit, []byte(before), 0o644)) })
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

func TestNetworkPrivate(t *testing.T) { byEachDevice(t, testNetworkPrivate) }

func testNetworkPrivate(t *testing.T) {
	root, _ := busyboxRoot(t)
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

func TestNetworkUDP(t *testing.T) { byEachDevice(t, testNetworkUDP) }

func testNetworkUDP(t *testing.T) {
	root, _ := busyboxRoot(t)
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

// Where no private network can be had, the host's is used, which is said once in a build; or nothing runs.
func TestNetworkFallsBackWithANotice(t *testing.T) {
	root, _ := busyboxRoot(t)
	withoutNamespaces(t)
	var notices []string
	var nets network.Pool
	defer nets.Close()
	port := serve(t, "127.0.0.1", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "reached") })
	for range 2 {
		got := runShell(t, root, fmt.Sprintf("wget -q -O - http://127.0.0.1:%d/", port), func(s *Sandbox) {
			s.Network, s.Networks, s.Notice = "", &nets, func(n string) { notices = append(notices, n) }
		})
		if got != "reached" {
			t.Errorf("%q", got)
		}
	}
	if len(notices) != 1 || !strings.Contains(notices[0], "network namespace cannot be made") || !strings.Contains(notices[0], "loopback") {
		t.Errorf("%q", notices)
	}
	for _, kind := range []string{"private", "none"} {
		s, _ := shell(t, root, "true")
		s.Network = kind
		var missing *host.Missing
		if err := s.Run(t.Context()); !errors.As(err, &missing) || missing.Hint() == "" {
			t.Errorf("the network %s was demanded: %v", kind, err)
		}
	}
}

// Published ports work in the host's network, too: one that the command listens at is left to it, another is passed on.
func TestNetworkPortsOfTheHost(t *testing.T) {
	root, _ := busyboxRoot(t)
	withoutNamespaces(t)
	for _, other := range []bool{false, true} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		free, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		free.Close()
		target := l.Addr().(*net.TCPAddr).Port
		if other {
			target = free.Addr().(*net.TCPAddr).Port
		}
		answer := make(chan string, 1)
		go func() { answer <- askUntilAnswered(l.Addr().String()) }()
		var notices []string
		runShell(t, root, fmt.Sprintf("echo from inside | timeout 20 nc -l -p %d", target), func(s *Sandbox) {
			s.Network, s.Notice = "", func(n string) { notices = append(notices, n) }
			s.Ports = []network.Port{{Listener: l, Target: uint16(target)}}
		})
		if got := <-answer; got != "from inside\n" {
			t.Errorf("passed on %v: %q", other, got)
		}
		if len(notices) != 2 || strings.Contains(notices[1], "passed on") != other {
			t.Errorf("passed on %v: %q", other, notices)
		}
	}
}

// askUntilAnswered connects until somebody says something.
func askUntilAnswered(address string) string {
	for range 500 {
		if c, err := net.Dial("tcp", address); err == nil {
			b, _ := io.ReadAll(c)
			c.Close()
			if len(b) > 0 {
				return string(b)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return "nobody"
}

// What is probed is what a sandbox gets.
func TestProbeOfTheNetwork(t *testing.T) {
	needEntered(t)
	if m := host.Probe().PrivateNetwork(); m != nil {
		t.Errorf("with all there is: %v", m)
	}
	t.Run("pair", func(t *testing.T) {
		withoutTun(t)
		if s := host.Probe(); s.Tun == nil || s.PrivateNetwork() != nil {
			t.Errorf("without a tun: %v, %v", s.Tun, s.PrivateNetwork())
		}
	})
	t.Run("no namespace", func(t *testing.T) {
		withoutNamespaces(t)
		if m := host.Probe().PrivateNetwork(); m == nil || m.Hint() == "" {
			t.Error("without namespaces there is a network")
		}
	})
	t.Run("a file in the place of the tun", func(t *testing.T) {
		withoutTun(t)
		must(t, os.WriteFile("/dev/net/tun", nil, 0o666))
		root, _ := busyboxRoot(t)
		if got := runShell(t, root, "cat /sys/class/net/eth0/type", private); got != "1\n" { // Ethernet
			t.Errorf("%q", got)
		}
	})
}

// Large transfers arrive as they were sent, both ways.
func TestNetworkTransfers(t *testing.T) { byEachDevice(t, testNetworkTransfers) }

func testNetworkTransfers(t *testing.T) {
	root, _ := busyboxRoot(t)
	data := make([]byte, 100<<20)
	rand.NewChaCha8([32]byte{1}).Read(data)
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	port := serve(t, ownAddress(t), func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = w.Write(data)
			return
		}
		got := sha256.New()
		_, _ = io.Copy(got, r.Body)
		fmt.Fprintf(w, "%x\n", got.Sum(nil))
	})
	begin := time.Now()
	got := runShell(t, root, fmt.Sprintf(`wget -q -O /tmp/x http://%[1]s:%[2]d/ && sha256sum </tmp/x
		(printf 'POST / HTTP/1.0\r\nContent-Length: 104857600\r\n\r\n'; cat /tmp/x) | nc %[1]s %[2]d | tail -1; rm /tmp/x`, ownAddress(t), port), private)
	if strings.Count(got, sum) != 2 {
		t.Errorf("%s is not what was received: %s", sum, got)
	}
	t.Logf("2 x 100 MB in %v", time.Since(begin))
}

// What comes to a published port reaches the sandbox, and the answers come back.
func TestNetworkPorts(t *testing.T) { byEachDevice(t, testNetworkPorts) }

func testNetworkPorts(t *testing.T) {
	root, _ := busyboxRoot(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	answer := make(chan string, 1)
	go func() { answer <- askUntilAnswered(l.Addr().String()) }()
	runShell(t, root, "echo from inside | timeout 10 nc -l -p 80", private, func(s *Sandbox) { s.Ports = []network.Port{{Listener: l, Target: 80}} })
	if got := <-answer; got != "from inside\n" {
		t.Errorf("%q", got)
	}
}

// A network goes to the next sandbox, which finds it as new, and not from one that could have changed it.
func TestNetworksAreUsedAgain(t *testing.T) { byEachDevice(t, testNetworksAreUsedAgain) }

func testNetworksAreUsedAgain(t *testing.T) {
	root, _ := busyboxRoot(t)
	own := ownAddress(t)
	port := serve(t, own, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello ") })
	var nets network.Pool
	defer nets.Close()
	run := func(change func(*Sandbox)) (namespace string) {
		t.Helper()
		script := fmt.Sprintf("wget -q -O - http://%s:%d/; ip route add 10.9.9.9/32 dev eth0 2>/dev/null; ip route | wc -l; readlink /proc/self/ns/net", own, port)
		got := runShell(t, root, script, private, func(s *Sandbox) { s.Networks = &nets }, change)
		answer, namespace, _ := strings.Cut(got, "\n")
		if answer != "hello 1" && answer != "hello 2" {
			t.Errorf("%q", got)
		}
		return strings.TrimSpace(namespace)
	}
	same := func(*Sandbox) {}
	first := run(same)
	for range 3 {
		if again := run(same); again != first || !isOpen(first) {
			t.Errorf("%s is not used again, but %s", first, again)
		}
	}
	for name, mighty := range map[string]func(*Sandbox){
		"insecure": func(s *Sandbox) { s.Insecure = true },
		"unmasked": func(s *Sandbox) { s.Unmasked = true },
		"caps":     func(s *Sandbox) { s.CapAdd = []string{"NET_ADMIN"} },
	} {
		used := run(mighty)
		testself.Eventually(t, name+": "+used+" waits for no other sandbox", func() bool { return !isOpen(used) })
	}
}

// isOpen says whether this process has a file of that name open, such as net:[4026531840].
func isOpen(name string) bool {
	open, _ := filepath.Glob("/proc/self/fd/*")
	return slices.ContainsFunc(open, func(fd string) bool {
		to, _ := os.Readlink(fd)
		return to == name
	})
}
