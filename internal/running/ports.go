// This file owns the ports of the host that a container is reached by. The sockets are opened by a process outside of the
// namespaces, where root may have any port and where an error reaches the user; the process inside inherits them, and its
// network passes on what comes.

package running

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/runtime/network"
)

// port is one -p: an address of the host for a port of the container.
type port struct {
	address, protocol string // address has a port, "0" for any
	target            uint16
	file              *os.File
}

// String is docker's way to write it.
func (p port) String() string { return fmt.Sprintf("%s->%d/%s", p.address, p.target, p.protocol) }

// parsePublished reads all that -p says.
func parsePublished(words []string) (all []port, err error) {
	for _, text := range words {
		ports, err := parsePorts(text)
		if err != nil {
			return nil, cli.Usage(hint.Errorf("it is [[ADDRESS:]HOSTPORT:]PORT[/udp], with ranges as 8000-8003", "-p %s: %w", text, err))
		}
		all = append(all, ports...)
	}
	return all, nil
}

// parsePorts reads one -p, which may be a range. An address of IPv6 stands in brackets, and has colons itself: so the text is
// read from its end.
func parsePorts(text string) ([]port, error) {
	rest, protocol, given := strings.Cut(text, "/")
	if !given {
		protocol = "tcp"
	}
	if protocol != "tcp" && protocol != "udp" {
		return nil, fmt.Errorf("invalid proto: %s", protocol)
	}
	address, host, target := "0.0.0.0", "", rest
	if i := strings.LastIndex(rest, ":"); i >= 0 {
		host, target = rest[:i], rest[i+1:]
		if j := strings.LastIndex(host, ":"); j >= 0 {
			address, host = strings.Trim(host[:j], "[]"), host[j+1:]
			if net.ParseIP(address) == nil {
				return nil, fmt.Errorf("invalid IP address: %s", address)
			}
		}
	}
	from, to, err := portRange(target)
	if err != nil {
		return nil, err
	}
	var first, last uint16
	if host != "" {
		if first, last, err = portRange(host); err != nil {
			return nil, err
		}
		// Ranges are matched port by port, so both need the same length.
		if last-first != to-from {
			return nil, errors.New("the ranges differ in length")
		}
	}
	var list []port
	for n := 0; n <= int(to-from); n++ {
		// The kernel chooses a port where none of the host is named; bound puts it in.
		own := "0"
		if host != "" {
			own = strconv.Itoa(int(first) + n)
		}
		list = append(list, port{address: net.JoinHostPort(address, own), protocol: protocol, target: from + uint16(n)})
	}
	return list, nil
}

// portRange reads a port, or two that a range begins and ends with.
func portRange(s string) (from, to uint16, err error) {
	a, b, both := strings.Cut(s, "-")
	if !both {
		b = a
	}
	x, err1 := strconv.ParseUint(a, 10, 16)
	y, err2 := strconv.ParseUint(b, 10, 16)
	if err1 != nil || err2 != nil || x == 0 || y < x {
		return 0, 0, fmt.Errorf("invalid port: %s", s)
	}
	return uint16(x), uint16(y), nil
}

// listenAll opens the sockets of the host here, outside of the user namespace, where root may have any port.
func listenAll(ports []port) error {
	for i := range ports {
		if err := ports[i].open(); err != nil {
			return ports[i].whyNot(err)
		}
	}
	return nil
}

// open listens at the port, and keeps the socket as a file that another process can inherit.
func (p *port) open() (err error) {
	if p.protocol == "udp" {
		conn, err := net.ListenPacket("udp", p.address)
		if err != nil {
			return err
		}
		// File made a second descriptor of the socket, which stays open.
		defer conn.Close()
		p.bound(conn.LocalAddr().String())
		p.file, err = conn.(*net.UDPConn).File()
		return err
	}
	l, err := net.Listen("tcp", p.address)
	if err != nil {
		return err
	}
	defer l.Close()
	p.bound(l.Addr().String())
	p.file, err = l.(*net.TCPListener).File()
	return err
}

// bound puts in the port that was chosen; an address for all of IPv4 serves IPv6 too, and stays as it was written.
func (p *port) bound(address string) {
	host, _, _ := net.SplitHostPort(p.address)
	_, number, _ := net.SplitHostPort(address)
	p.address = net.JoinHostPort(host, number)
}

// whyNot words the failures that have a remedy.
func (p *port) whyNot(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return hint.Errorf("choose another port of the host, or leave it out: -p "+strconv.Itoa(int(p.target)), "publishing %s: port is already allocated", p)
	case errors.Is(err, os.ErrPermission):
		return hint.Errorf("ports below 1024 are root's: choose a higher one, or as root: sysctl net.ipv4.ip_unprivileged_port_start=80", "publishing %s: %w", p, err)
	}
	return fmt.Errorf("publishing %s: %w", p, err)
}

// portsFD is the first of the descriptors by which a process in the namespaces inherits the sockets. They follow the lock.
const portsFD = 4

// receivePorts takes over the sockets that the parent opened.
func receivePorts(list []port) (ports []network.Port, err error) {
	for i, p := range list {
		f := os.NewFile(uintptr(portsFD+i), p.address)
		r := network.Port{Target: p.target}
		if p.protocol == "udp" {
			r.Packets, err = net.FilePacketConn(f)
		} else {
			r.Listener, err = net.FileListener(f)
		}
		// The connection has a descriptor of its own by now, also after an error.
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("taking over the socket of %s: %w", p, err)
		}
		ports = append(ports, r)
	}
	return ports, nil
}
