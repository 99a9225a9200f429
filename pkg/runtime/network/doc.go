// Package network gives a sandbox a network that only this process leads out of, and needs no right for that.
//
// A Pool makes network namespaces, each with one device, and keeps those that sandboxes have left behind for the next. A
// Network is a namespace while one sandbox uses it. The other end of its device is a TCP/IP stack in this process (gVisor's):
// what leaves the sandbox is opened anew from here (outward.go), where package netguard lets it; what comes to a published
// Port is led in (inward.go). Names are asked of the host's nameservers. Buffers and connections have bounds, since they are
// memory of this process (shares.go).
//
// The device is a tun, or one of a pair of virtual Ethernet devices where /dev/net/tun cannot be opened. TryNamespace, TryTun
// and TryPair say what can be made here, as plain errors; package runtime knows the words and the remedies. Nothing here
// knows of files, mounts or processes in the sandbox.
package network
