// Package netguard says which addresses a Dockerfile, a registry or a process in a sandbox may not lead gbuild to: those
// of this machine alone, of its link, and of the services that hand out the credentials of a cloud.
package netguard

import (
	"fmt"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// shut are the addresses that no rule of package netip names. They are parsed at the first use: every sandbox starts this
// program once more.
var shut = sync.OnceValue(func() []netip.Prefix {
	return prefixes(
		"0.0.0.0/8",              // "this network": Linux takes 0.0.0.0 for loopback
		"240.0.0.0/4",            // reserved, and the limited broadcast
		"168.63.129.16/32",       // Azure's wire server
		"100.100.100.200/32",     // Alibaba Cloud
		"192.0.0.192/32",         // Oracle Cloud, older machines
		"fd00:ec2::/32",          // Amazon
		"fd20:ce::254/128",       // Google Cloud
		"fd00:42::42/128",        // Scaleway
		"fd00:c1::a9fe:a9fe/128", // Oracle Cloud
		"fd00:a9fe:a9fe::1/128",  // Akamai (Linode)
	)
})

func prefixes(all ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(all))
	for i, p := range all {
		list[i] = netip.MustParsePrefix(p)
	}
	return list
}

// form is one of IPv6 in which an IPv4 address stands, and where.
type form struct {
	prefix netip.Prefix
	at     int
	invert byte
}

var embedding = sync.OnceValue(func() []form {
	return []form{
		{netip.MustParsePrefix("::/96"), 12, 0},           // compatible
		{netip.MustParsePrefix("::ffff:0:0:0/96"), 12, 0}, // translated (SIIT)
		{netip.MustParsePrefix("64:ff9b::/96"), 12, 0},    // NAT64
		{netip.MustParsePrefix("64:ff9b:1::/48"), 12, 0},  // NAT64 of a site
		{netip.MustParsePrefix("2002::/16"), 2, 0},        // 6to4
		{netip.MustParsePrefix("2001::/32"), 12, 0xff},    // Teredo
	}
})

// Shut says whether an address is closed to what strangers name. Forms of IPv6 that carry an IPv4 address count as that.
func Shut(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() {
		return true
	}
	for _, p := range shut() {
		if p.Contains(a) {
			return true
		}
	}
	v4, ok := embedded(a)
	return ok && Shut(v4)
}

func embedded(a netip.Addr) (netip.Addr, bool) {
	b := a.As16()
	for _, e := range embedding() {
		if e.prefix.Contains(a) {
			var v4 [4]byte
			for i := range v4 {
				v4[i] = b[e.at+i] ^ e.invert
			}
			return netip.AddrFrom4(v4), true
		}
	}
	return netip.Addr{}, false
}

// Error is the refusal of a connection.
type Error struct{ Address string }

func (e *Error) Error() string {
	return fmt.Sprintf("refusing to connect to %s: it is an address of this machine, of its link or of its cloud's own services", e.Address)
}

// Hint says what opens it.
func (e *Error) Hint() string {
	return "if you trust what names it (the Dockerfile, or the server that redirects there): --allow network.host"
}

// Control is for net.Dialer: it judges each address after its name is resolved. A broadcast, of which only the kernel
// knows which addresses are one, needs a right of the socket, which is taken away.
func Control(_, address string, c syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("reading address %q: %w", address, err)
	}
	if Shut(ap.Addr()) {
		return &Error{address}
	}
	var failed error
	err = c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 0) })
	if err != nil {
		return err
	}
	return failed
}
