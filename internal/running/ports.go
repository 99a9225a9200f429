// This file owns the ports of the host that a container is reached by. The sockets are opened by a process outside of the
// namespaces, where root may have any port and where an error reaches the user; the process inside inherits them, and its
// network passes on what comes.

package running

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/network"
)

// port is one -p: a port of the host for one of the container.
type port struct {
	ip, protocol string // ip "" is every address
	first, last  uint16 // the ports of the host that may be taken, in their order; 0: any that is free
	target       uint16
	file         *os.File
}

// String is docker's way to write it.
func (p port) String() string {
	ip, host := p.ip, strconv.Itoa(int(p.first))
	if ip == "" {
		ip = "0.0.0.0"
	}
	if p.last != p.first {
		host += "-" + strconv.Itoa(int(p.last))
	}
	return fmt.Sprintf("%s->%d/%s", net.JoinHostPort(ip, host), p.target, p.protocol)
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

// open listens at the first port that is free, and keeps the socket as a file that another process can inherit.
func (p *port) open() (err error) {
	for number := int(p.first); number <= int(p.last); number++ {
		if err = p.listen(strconv.Itoa(number)); !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
	return err
}

// listen listens at one port, and notes which it is: 0 is chosen by the kernel. Without an address that is every one, of IPv6 too.
func (p *port) listen(number string) error {
	family, address := "", net.JoinHostPort(p.ip, number)
	if ip := net.ParseIP(p.ip); ip != nil {
		family = "6"
		if ip.To4() != nil {
			family = "4"
		}
	}
	var socket interface {
		File() (*os.File, error)
		Close() error
	}
	var at net.Addr
	if p.protocol == "udp" {
		conn, err := net.ListenPacket("udp"+family, address)
		if err != nil {
			return err
		}
		socket, at = conn.(*net.UDPConn), conn.LocalAddr()
	} else {
		l, err := net.Listen("tcp"+family, address)
		if err != nil {
			return err
		}
		socket, at = l.(*net.TCPListener), l.Addr()
	}
	defer socket.Close() // File made a second descriptor of the socket, which stays open
	_, bound, err := net.SplitHostPort(at.String())
	if err != nil {
		return err
	}
	if p.first, p.last, err = portRange(bound); err != nil {
		return err
	}
	p.file, err = socket.File()
	return err
}

// whyNot words the failures that have a remedy.
func (p *port) whyNot(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return hint.Errorf("choose another port of the host, or leave it out: -p "+strconv.Itoa(int(p.target)), "publishing %s: port is already allocated", p)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return hint.Errorf("leave the address out for every one of this host, or name one of them: ip addr", "publishing %s: %s is no address of this host", p, p.ip)
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
		p.file = os.NewFile(uintptr(portsFD+i), p.String())
		r, err := p.receive()
		if err != nil {
			return nil, err
		}
		ports = append(ports, r)
	}
	return ports, nil
}

// receive makes a socket of the file.
func (p *port) receive() (r network.Port, err error) {
	r.Target = p.target
	if p.protocol == "udp" {
		r.Packets, err = net.FilePacketConn(p.file)
	} else {
		r.Listener, err = net.FileListener(p.file)
	}
	// The connection has a descriptor of its own by now, also after an error.
	p.file.Close()
	if err != nil {
		err = fmt.Errorf("taking over the socket of %s: %w", p, err)
	}
	return r, err
}

// publishAll publishes what the image and --expose name, but for what -p has published already. Which ports those are is known only
// here, in the namespaces, where ports from 1024 on can be had as elsewhere. It returns them as docker writes them.
func (n *Network) publishAll(box *runtime.Sandbox, exposed map[string]struct{}) (published []string, err error) {
	if !n.PublishAll || !n.canPublish() {
		return nil, nil
	}
	all := slices.Clone(n.exposed)
	for _, text := range slices.Sorted(maps.Keys(exposed)) {
		ports, err := parseExposed(text)
		if err != nil {
			box.Notice(fmt.Sprintf("the image exposes %s, which is not published: %v", text, err))
		}
		all = append(all, ports...)
	}
	done := slices.Clone(n.ports)
	for _, p := range all {
		if slices.ContainsFunc(done, func(other port) bool { return other.target == p.target && other.protocol == p.protocol }) {
			continue
		}
		if err := p.open(); err != nil {
			return published, p.whyNot(err)
		}
		r, err := p.receive()
		if err != nil {
			return published, err
		}
		done, box.Ports, published = append(done, p), append(box.Ports, r), append(published, p.String())
	}
	return published, nil
}
