// This file owns the network of one sandbox, from Take to Close or Leave. A network that a sandbox could change must not be left
// to the next one.

package network

import (
	"fmt"
	"os"
)

// Network is a network namespace with one device, the other end of which is a TCP/IP stack in this process. When no process
// of the sandbox is left, it ends by Close or by Leave.
type Network struct {
	pool      *Pool
	namespace *namespace
	stack     *userStack
}

// Take gives a sandbox a network; p may be nil. The nameservers are those of the host's resolv.conf. What the kernel refuses
// is an *Error.
func (p *Pool) Take(resolvConf string) (*Network, error) {
	space, err := p.namespace()
	if err != nil {
		return nil, err
	}
	s, err := newUserStack(space.device, nameservers(resolvConf))
	if err != nil {
		space.close()
		return nil, fmt.Errorf("making a private network: %w", err)
	}
	return &Network{p, space, s}, nil
}

// Namespace is a path by which a process can join the network, as long as this process lives.
func (n *Network) Namespace() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.namespace.file.Fd())
}

// Publish leads what comes to the ports into the sandbox, until the network ends.
func (n *Network) Publish(ports []Port) {
	if len(ports) > 0 {
		intoStack{n.stack.ip, nil}.open()
	}
	n.stack.in.publish(ports)
}

// Close ends the network.
func (n *Network) Close() {
	n.stack.close()
	n.namespace.close()
}

// Leave ends the network as its sandbox had it, and leaves the namespace to the next one of the pool. That must not be one
// whose processes could administer the network, or write to /proc/sys: the next would find what they left.
func (n *Network) Leave() {
	if n.pool == nil {
		n.Close()
		return
	}
	n.stack.close()
	n.pool.leave(n.namespace)
}
