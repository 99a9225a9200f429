// This file owns what the sandbox reads of resolv.conf(5), and what is read of the host's. A nameserver on loopback, as systemd
// has, is asked from here, where it can be reached; so names of the host's private zones resolve in a sandbox, too.

package network

import (
	"fmt"
	"net/netip"
	"strings"
)

// ResolvConf is the host's, with the stack's resolver in the place of the nameservers.
func ResolvConf(host string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "nameserver %s\n", resolver)
	for line := range strings.Lines(host) {
		if f := strings.Fields(line); len(f) > 1 && (f[0] == "search" || f[0] == "domain" || f[0] == "options") {
			b.WriteString(strings.TrimSpace(line) + "\n")
		}
	}
	return b.String()
}

// nameservers are those of a resolv.conf, at most three as in the C library.
func nameservers(resolv string) []netip.AddrPort {
	var list []netip.AddrPort
	for line := range strings.Lines(resolv) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" || len(list) == 3 {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil {
			list = append(list, netip.AddrPortFrom(a, 53))
		}
	}
	return list
}
