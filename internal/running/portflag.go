// This file owns the grammar of -p and --expose.

package running

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
)

// parsePublished reads all that -p says.
func parsePublished(words []string) (all []port, err error) {
	for _, text := range words {
		ports, err := parsePorts(text)
		if err != nil {
			return nil, cli.Usage(hint.Errorf("it is [[ADDRESS:]HOSTPORT:]PORT[/udp], with ranges as 8000-8003, or target=PORT,published=HOSTPORT[,protocol=udp]", "-p %s: %w", text, err))
		}
		all = append(all, ports...)
	}
	return all, nil
}

// parsePorts reads one -p, which may be a range. An address of IPv6 has colons itself: so the text is read from its end.
func parsePorts(text string) ([]port, error) {
	if strings.Contains(text, "=") {
		return parseLongPorts(text)
	}
	parts := strings.Split(text, ":")
	n := len(parts) - 1
	target, protocol, err := portAndProtocol(parts[n])
	if err != nil {
		return nil, err
	}
	p := port{protocol: protocol}
	from, to, err := portRange(target)
	if err != nil {
		return nil, err
	}
	if from == 0 {
		return nil, errors.New("no port has the number 0: a port alone is published at one that is free")
	}
	if n > 1 {
		ip := strings.Join(parts[:n-1], ":")
		p.ip = strings.TrimSuffix(strings.TrimPrefix(ip, "["), "]")
		if p.ip != "" && net.ParseIP(p.ip) == nil || strings.HasPrefix(ip, "[") != strings.HasSuffix(ip, "]") {
			return nil, fmt.Errorf("invalid IP address: %s", ip)
		}
	}
	if n > 0 && parts[n-1] != "" {
		if p.first, p.last, err = portRange(parts[n-1]); err != nil {
			return nil, err
		}
		// Ranges are matched port by port, so both need the same length; for one port the first that is free of a range is taken.
		if p.last-p.first != to-from && to != from {
			return nil, errors.New("the ranges differ in length")
		}
	}
	return p.each(from, to), nil
}

// each is the list of the ports from one to another, with their ports of the host.
func (p port) each(from, to uint16) (list []port) {
	if from == to {
		p.target = from
		return []port{p}
	}
	for i := range to - from + 1 {
		one := p
		if one.target = from + i; p.last != 0 {
			one.first += i
			one.last = one.first
		}
		list = append(list, one)
	}
	return list
}

// parseLongPorts reads target=PORT,published=PORT,protocol=NAME. What compose's files have besides means nothing here; a name that is
// unknown is refused, as an address in it would be lost.
func parseLongPorts(text string) ([]port, error) {
	said := map[string]string{"protocol": "tcp"}
	for _, field := range strings.Split(text, ",") {
		key, value, given := strings.Cut(field, "=")
		switch key {
		case "target", "published", "protocol", "mode", "name", "app_protocol":
		default:
			given = false
		}
		if !given {
			return nil, fmt.Errorf("invalid field %q", field)
		}
		said[key] = value
	}
	if strings.Contains(said["published"]+said["target"]+said["protocol"], "=") {
		return nil, errors.New("a field has two values")
	}
	return parsePorts(said["published"] + ":" + said["target"] + "/" + said["protocol"])
}

// portAndProtocol cuts the protocol off a port; without one it is tcp.
func portAndProtocol(text string) (port, protocol string, err error) {
	port, protocol, _ = strings.Cut(text, "/")
	switch protocol = strings.ToLower(protocol); protocol {
	case "":
		protocol = "tcp"
	case "tcp", "udp":
	case "sctp":
		err = errors.New("sctp cannot be published: connections are passed on, and only those of tcp and udp can be")
	default:
		err = fmt.Errorf("invalid proto: %s", protocol)
	}
	return port, protocol, err
}

// portRange reads a port, or two that a range begins and ends with.
func portRange(s string) (from, to uint16, err error) {
	a, b, both := strings.Cut(s, "-")
	if !both {
		b = a
	}
	x, err1 := strconv.ParseUint(a, 10, 16)
	y, err2 := strconv.ParseUint(b, 10, 16)
	if err1 != nil || err2 != nil || y < x {
		return 0, 0, fmt.Errorf("invalid port: %s", s)
	}
	return uint16(x), uint16(y), nil
}

// parseExposed reads PORT[/udp], or a range.
func parseExposed(text string) ([]port, error) {
	if strings.Contains(text, ":") {
		return nil, errors.New("only a port of the container can be named, for -P to publish")
	}
	return parsePorts(text)
}
