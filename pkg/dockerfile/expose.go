// This file owns EXPOSE, and the forms in which it takes ports.

package dockerfile

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
)

// expose adds ports. A variable in it may hold several.
func (r *resolver) expose(cmd *instructions.ExposeCommand) error {
	c := &r.config.Config
	if c.ExposedPorts == nil {
		c.ExposedPorts = map[string]struct{}{}
	}
	var ports []string
	for _, text := range cmd.Ports {
		if err := r.plan.expanded.allow(text, r.scope.env); err != nil {
			return err
		}
		words, err := r.lex.ProcessWords(text, r.scope.env)
		if err != nil {
			return err
		}
		for _, word := range words {
			more, err := r.ports(word, cmd)
			if err != nil {
				return err
			}
			ports = append(ports, more...)
		}
	}
	for _, port := range ports {
		c.ExposedPorts[port] = struct{}{}
	}
	r.commit(fmt.Sprintf("EXPOSE %v", ports), false)
	return nil
}

// ports reads [[ip:]host:]port[-port][/proto] and returns each port with its protocol in lower case.
func (r *resolver) ports(word string, cmd instructions.Command) ([]string, error) {
	outer, inner := "", word
	if i := strings.LastIndexByte(word, ':'); i >= 0 {
		outer, inner = word[:i], word[i+1:]
	}
	inner, proto, err := splitProtocol(inner)
	if err != nil {
		return nil, fmt.Errorf("invalid port: %q: %w", word, err)
	}
	if proto != strings.ToLower(proto) {
		r.lint.Run(&linter.RuleExposeProtoCasing, cmd.Location(), linter.RuleExposeProtoCasing.Format(word))
	}
	ip, host := "", outer
	if i := strings.LastIndexByte(outer, ':'); i >= 0 {
		ip, host = outer[:i], outer[i+1:]
	}
	if ip != "" || host != "" {
		r.lint.Run(&linter.RuleExposeInvalidFormat, cmd.Location(), linter.RuleExposeInvalidFormat.Format(word))
	}
	if bare := strings.TrimSuffix(strings.TrimPrefix(ip, "["), "]"); ip != "" && net.ParseIP(bare) == nil {
		return nil, fmt.Errorf("invalid IP address: %s", ip)
	}
	first, last, err := portRange(inner)
	if err != nil {
		return nil, fmt.Errorf("invalid containerPort: %s", inner)
	}
	if host != "" {
		from, to, err := portRange(host)
		if err != nil {
			return nil, fmt.Errorf("invalid hostPort: %s", host)
		}
		if first != last && last-first != to-from {
			return nil, fmt.Errorf("invalid ranges specified for container and host Ports: %s and %s", inner, host)
		}
	}
	var out []string
	for port := first; port <= last; port++ {
		out = append(out, fmt.Sprintf("%d/%s", port, strings.ToLower(proto)))
	}
	return out, nil
}

// splitProtocol cuts the protocol off a port; without one it is tcp.
func splitProtocol(port string) (string, string, error) {
	port, proto, _ := strings.Cut(port, "/")
	if port == "" {
		return "", "", errors.New("no port specified")
	}
	switch strings.ToLower(proto) {
	case "":
		return port, "tcp", nil
	case "tcp", "udp", "sctp":
		return port, proto, nil
	}
	return "", "", fmt.Errorf("invalid proto: %s", proto)
}

// portRange reads PORT or FIRST-LAST.
func portRange(s string) (first, last int, err error) {
	from, to, ok := strings.Cut(s, "-")
	if first, err = portNumber(from); err != nil || !ok {
		return first, first, err
	}
	if last, err = portNumber(to); err == nil && last < first {
		err = fmt.Errorf("invalid port range: %s", s)
	}
	return first, last, err
}

// portNumber reads a port, of which 0 is one for BuildKit, too.
func portNumber(s string) (int, error) {
	n, err := strconv.Atoi(s) // BuildKit reads it so, too, and takes +80.
	if err == nil && (n < 0 || n > 65535) {
		err = strconv.ErrRange
	}
	return n, err
}
