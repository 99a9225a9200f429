// This file owns what --network and --add-host mean, for builds and for containers.

package cli

import (
	"net"
	"strings"

	"github.com/gbuild/gbuild/pkg/runtime"
)

// SandboxNetwork is --network as a sandbox has it.
func SandboxNetwork(flag string) string {
	if flag == "default" {
		return ""
	}
	return flag
}

// ParseHost reads NAME:ADDRESS, or NAME=ADDRESS, for what has a network; host-gateway is an address of this host that can be reached
// there. Brackets may stand around an address.
func ParseHost(text, network string) (h runtime.HostEntry, ok bool) {
	name, address, ok := strings.Cut(text, "=")
	if !ok {
		name, address, ok = strings.Cut(text, ":")
	}
	if address = strings.TrimSpace(address); address == "host-gateway" {
		address = hostGateway(network)
	} else if strings.HasPrefix(address, "[") && strings.HasSuffix(address, "]") {
		address = strings.TrimSuffix(address[1:], "]")
	}
	return runtime.HostEntry{Name: name, Addr: address}, ok && name != "" && !strings.Contains(name, ":") && net.ParseIP(address) != nil
}

// hostGateway is an address of the host that can be reached from such a network.
func hostGateway(network string) string {
	all, err := net.InterfaceAddrs()
	if err != nil || network == "host" {
		return "127.0.0.1"
	}
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	return "127.0.0.1"
}
