// This file owns network namespaces with their devices: how one is made and ended, and the pool of those that no sandbox uses at
// the moment. The pool also knows whether it was said already that a sandbox has no network of its own.

package network

import (
	"os"
	"sync"

	"github.com/gbuild/gbuild/internal/thread"
)

// Pool keeps the networks of sandboxes that are over for the sandboxes that follow: the kernel takes as long to make a
// network namespace and to take it away as all else of a sandbox takes. The zero Pool is ready to use.
type Pool struct {
	mu      sync.Mutex
	idle    []*namespace
	without bool // FirstWithout was called
}

// FirstWithout says whether this is the first sandbox that has to do without a network of its own; p may be nil.
func (p *Pool) FirstWithout() bool {
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	first := !p.without
	p.without = true
	return first
}

// Close takes the networks away that no sandbox has.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.idle {
		n.close()
	}
	p.idle = nil
}

// namespace returns a namespace that nobody has; p may be nil.
func (p *Pool) namespace() (*namespace, error) {
	if n := p.takeIdle(); n != nil {
		return n, nil
	}
	return newNamespace()
}

// takeIdle returns the network that was left last, or nil.
func (p *Pool) takeIdle() *namespace {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	n := p.idle[last]
	p.idle = p.idle[:last]
	return n
}

// leave keeps a namespace for the next sandbox.
func (p *Pool) leave(n *namespace) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, n)
}

// namespace is a network namespace with one device.
type namespace struct {
	file   *os.File
	device *device
}

// newNamespace makes a namespace and sets up its devices.
func newNamespace() (*namespace, error) {
	n := &namespace{}
	err := thread.Run(n.fill)
	if err != nil {
		n.closeFiles()
		return nil, err
	}
	return n, nil
}

// fill moves the calling thread into the namespace that it makes.
func (n *namespace) fill() (err error) {
	if err := unshare(); err != nil {
		return &Error{Namespace: err}
	}
	if n.device, err = makeDevice(); err != nil {
		return err
	}
	for _, name := range []string{"lo", deviceName} {
		if err := setUp(name); err != nil {
			return err
		}
	}
	n.file, err = ownNamespace()
	return err
}

// close may wait for the kernel, which takes away another namespace just then; nobody has to wait for it.
func (n *namespace) close() { go n.closeFiles() }

// closeFiles ends the namespace: it is held by its file, and by the device.
func (n *namespace) closeFiles() {
	if n.device != nil {
		n.device.close()
	}
	if n.file != nil {
		n.file.Close()
	}
}
