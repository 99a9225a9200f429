// This file owns the files of /etc that a sandbox gets from us: hosts and resolv.conf. Those of the image are covered, and not
// changed.

package runtime

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// hostFiles writes the files that a sandbox gets from us and describes their mounts. They are bound read-only over
// the image's, so that they never become part of a layer.
func hostFiles(dir string, s *Sandbox, resolvConf string) ([]Mount, error) {
	lines, err := hosts(s)
	if err != nil {
		return nil, err
	}
	var list []Mount
	for _, f := range [][2]string{{"hosts", lines}, {"resolv.conf", s.Resolver.apply(resolvConf)}} {
		name, text := f[0], f[1]
		source := filepath.Join(dir, name)
		if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
			return nil, fmt.Errorf("writing %s for the sandbox: %w", name, err)
		}
		// The umask may have taken away what the sandbox's users need.
		if err := os.Chmod(source, 0o644); err != nil {
			return nil, fmt.Errorf("writing %s for the sandbox: %w", name, err)
		}
		list = append(list, Mount{Type: "bind", Source: source, Target: "/etc/" + name, ReadOnly: true})
	}
	return list, nil
}

// hosts is the text of /etc/hosts.
func hosts(s *Sandbox) (string, error) {
	var b strings.Builder
	name := s.hostname()
	if s.Domainname != "" {
		name = name + "." + s.Domainname + " " + name
	}
	if own, err := os.Hostname(); err == nil && !s.ownHostname() && own != name {
		name += " " + own // which is the sandbox's, too
	}
	fmt.Fprintf(&b, "127.0.0.1\tlocalhost %s\n::1\tlocalhost ip6-localhost ip6-loopback\n", name)
	for _, h := range s.Hosts {
		if net.ParseIP(h.Addr) == nil || h.Name == "" || strings.ContainsAny(h.Name, " \t\n#") {
			return "", fmt.Errorf("host entry %q with address %q is not valid", h.Name, h.Addr)
		}
		fmt.Fprintf(&b, "%s\t%s\n", h.Addr, h.Name)
	}
	return b.String(), nil
}
