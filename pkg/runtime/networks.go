package runtime

import (
	"os"
	goruntime "runtime"
	"sync"
)

// Networks keeps the private networks of sandboxes that are over for the sandboxes that follow: the kernel takes as long
// to make a network namespace and to take it away as all else of a sandbox takes. One that its sandbox could have
// changed is not used again, and connections do not outlive their sandbox. The zero Networks is ready to use.
type Networks struct {
	mu      sync.Mutex
	idle    []*netNamespace
	without bool // one could not be made, and that was said
}

// firstWithout says whether this is the first sandbox that has to do without a network of its own; n may be nil.
func (n *Networks) firstWithout() bool {
	if n == nil {
		return true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	first := !n.without
	n.without = true
	return first
}

// Close takes the networks away that no sandbox has.
func (n *Networks) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, space := range n.idle {
		space.close()
	}
	n.idle = nil
}

// take returns a network that nobody has; n may be nil.
func (n *Networks) take() (*netNamespace, error) {
	if space := n.takeIdle(); space != nil {
		return space, nil
	}
	return newNamespace()
}

func (n *Networks) takeIdle() *netNamespace {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	last := len(n.idle) - 1
	if last < 0 {
		return nil
	}
	space := n.idle[last]
	n.idle = n.idle[:last]
	return space
}

func (n *Networks) leave(space *netNamespace) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.idle = append(n.idle, space)
}

// netNamespace is a network namespace with one device.
type netNamespace struct {
	ns     *os.File
	device device
}

func newNamespace() (*netNamespace, error) {
	space := &netNamespace{}
	err := onThread(func() (err error) {
		space.ns, space.device, err = makeNamespace()
		return err
	})
	return space, err
}

// onThread calls f on a thread of its own, which ends afterwards: whatever namespaces it is in then, nobody else is.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		goruntime.LockOSThread() // and never unlocked
		done <- f()
	}()
	return <-done
}

// close may wait for the kernel, which takes away another namespace just then; nobody has to wait for it.
func (s *netNamespace) close() {
	go func() {
		s.device.close()
		s.ns.Close()
	}()
}
