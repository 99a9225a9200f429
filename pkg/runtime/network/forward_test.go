package network

import (
	"io"
	"net"
	"strings"
	"testing"
)

func listen(t *testing.T) (net.Listener, uint16) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, Port{Listener: l}.number()
}

func packets(t *testing.T) (net.PacketConn, uint16) {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, Port{Packets: c}.number()
}

// say opens a connection, says a word, and returns what comes back.
func say(t *testing.T, network, address, word string) string {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, word); err != nil {
		t.Fatal(err)
	}
	if network == "udp" {
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	_ = c.(*net.TCPConn).CloseWrite()
	all, _ := io.ReadAll(c)
	return string(all)
}

// What comes to a published port reaches the command that shares the host's network, as often as it is started again. A port that is
// published under its own number is left to the command.
func TestForward(t *testing.T) {
	server, target := listen(t)
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			word, _ := io.ReadAll(c)
			_, _ = io.WriteString(c, "tcp "+string(word))
			c.Close()
		}
	}()
	answers, udpTarget := packets(t)
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := answers.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = answers.WriteTo([]byte("udp "+string(buf[:n])), from)
		}
	}()
	outer, _ := listen(t)
	outerUDP, _ := packets(t)
	own, ownNumber := listen(t)
	ports := []Port{{Listener: outer, Target: target}, {Packets: outerUDP, Target: udpTarget}, {Listener: own, Target: ownNumber}}
	for range 3 {
		f, err := Forward(ports)
		if err != nil {
			t.Fatal(err)
		}
		if got := say(t, "tcp", outer.Addr().String(), "hello"); got != "tcp hello" {
			t.Errorf("%q", got)
		}
		if got := say(t, "udp", outerUDP.LocalAddr().String(), "hello"); got != "udp hello" {
			t.Errorf("%q", got)
		}
		if again, err := net.Listen("tcp", own.Addr().String()); err != nil {
			t.Error("the command cannot listen at its own port:", err)
		} else {
			again.Close()
		}
		if said := f.String(); strings.Count(said, ";") != 2 || !strings.Contains(said, "needs no -p") {
			t.Error(said)
		}
		f.Close()
	}
}

// Where nobody listens, the connection ends. Two ports that are published for each other cannot be served.
func TestForwardToNobody(t *testing.T) {
	gone, target := listen(t)
	gone.Close()
	a, aNumber := listen(t)
	b, bNumber := listen(t)
	f, err := Forward([]Port{{Listener: a, Target: target}})
	if err != nil {
		t.Fatal(err)
	}
	if got := say(t, "tcp", a.Addr().String(), "hello"); got != "" {
		t.Errorf("%q", got)
	}
	f.Close()
	if _, err := Forward([]Port{{Listener: a, Target: bNumber}, {Listener: b, Target: aNumber}}); err == nil {
		t.Error("ports that lead to each other were taken")
	}
}
