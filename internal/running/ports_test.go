package running

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// The first port of a range that is free is taken, and any where none is named; what cannot be had is one error with a hint.
func TestPortsAreOpened(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	number := uint16(taken.Addr().(*net.TCPAddr).Port)
	open := func(text string) (ports []port, err error) {
		t.Helper()
		if ports, err = parsePorts(text); err != nil {
			t.Fatal(err)
		}
		err = listenAll(ports)
		for _, p := range ports {
			if p.file != nil {
				t.Cleanup(func() { p.file.Close() })
			}
		}
		return ports, err
	}
	for _, text := range []string{"80", "127.0.0.1::80/udp", "[::1]::80", "0:80", "127.0.0.1::80-82", fmt.Sprintf("127.0.0.1:%d-65535:80", number)} {
		ports, err := open(text)
		if err != nil && strings.Contains(text, "::1") { // a host without IPv6
			continue
		}
		if err != nil {
			t.Error(text, err)
		}
		for _, p := range ports {
			if p.first == 0 || p.first != p.last || p.first == number {
				t.Errorf("%s: %s", text, p)
			}
		}
	}
	for text, want := range map[string]string{
		fmt.Sprintf("127.0.0.1:%d:80", number): fmt.Sprintf("publishing 127.0.0.1:%d->80/tcp: port is already allocated", number),
		fmt.Sprintf("%d:80", number):           fmt.Sprintf("publishing 0.0.0.0:%d->80/tcp: port is already allocated", number),
		"192.0.2.1::80":                        "192.0.2.1 is no address of this host",
	} {
		if _, err := open(text); err == nil || !strings.Contains(err.Error(), want) || hint.Of(err) == "" {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// -P publishes what the image and --expose name, once each, and leaves what -p has published as it is.
func TestPublishAll(t *testing.T) {
	o := parseRun(t, "-P", "-p", "127.0.0.1::80", "--expose", "90-91", "--expose", "53/udp")
	if err := o.Network.parse(); err != nil {
		t.Fatal(err)
	}
	var said []string
	box := &runtime.Sandbox{Notice: func(text string) { said = append(said, text) }}
	published, err := o.Network.publishAll(box, map[string]struct{}{"80/tcp": {}, "90/tcp": {}, "443/tcp": {}, "7/sctp": {}})
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for i, p := range box.Ports {
		_, target, _ := strings.Cut(published[i], "->")
		targets = append(targets, target)
		if p.Listener != nil {
			p.Listener.Close()
		} else {
			p.Packets.Close()
		}
	}
	if !slices.Equal(targets, []string{"90/tcp", "91/tcp", "53/udp", "443/tcp"}) || len(said) != 1 || !strings.Contains(said[0], "sctp") {
		t.Errorf("%q: %q", published, said)
	}
	if o = parseRun(t, "-P", "--network", "host"); o.Network.parse() != nil {
		t.Error("-P is refused")
	}
	if published, err := o.Network.publishAll(box, map[string]struct{}{"80/tcp": {}}); len(published) > 0 || err != nil {
		t.Error(published, err)
	}
}

// Where nothing can be published, that is said.
func TestPortsThatAreDiscarded(t *testing.T) {
	for text, want := range map[string]string{
		"-p 80 --network host": "published ports are discarded when using host network mode",
		"-P --network host":    "published ports are discarded when using host network mode",
		"-p 80 --network none": "published ports are discarded: the network none reaches nobody",
		"--network host":       "",
		"--network none -P":    "",
	} {
		o := parseRun(t, strings.Fields(text)...)
		var said []string
		box := &runtime.Sandbox{Notice: func(text string) { said = append(said, text) }}
		if err := errors.Join(o.Network.parse(), o.Network.fill(box)); err != nil {
			t.Fatal(text, err)
		}
		if got := strings.Join(said, "\n"); !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"8080:80", "a", "80/http"} {
		if _, err := parseExposed(text); err == nil {
			t.Errorf("--expose %s was taken", text)
		}
	}
}
