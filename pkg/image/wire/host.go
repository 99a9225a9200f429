// This file compares hosts by their names alone: it says which one is this machine, and which two have the same owner.

package wire

import (
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Hostname is a host without its port.
func Hostname(hostport string) string {
	return (&url.URL{Host: hostport}).Hostname()
}

// IsLoopback says whether HOST[:PORT] is this machine itself, by its name or address alone: localhost, a name below it,
// or an address of 127.0.0.0/8 or ::1.
func IsLoopback(hostport string) bool {
	host := strings.ToLower(strings.TrimSuffix(Hostname(hostport), "."))
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host == "localhost" || strings.HasSuffix(host, ".localhost")
	}
	return ip.IsLoopback()
}

// sameSite says whether two hosts are under one owner: equal, or with the same registrable domain. Addresses and names
// without a domain must be equal.
func sameSite(a, b string) bool {
	if a == b {
		return true
	}
	an, bn := Hostname(a), Hostname(b)
	if _, err := netip.ParseAddr(an); err == nil {
		return an == bn
	}
	ad, err := publicsuffix.EffectiveTLDPlusOne(an)
	if err != nil {
		return an == bn
	}
	bd, err := publicsuffix.EffectiveTLDPlusOne(bn)
	return err == nil && strings.EqualFold(ad, bd)
}
