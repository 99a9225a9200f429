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
	mu   sync.Mutex
	idle []*netNamespace
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

// netNamespace is a network namespace with one device, of which tun is the other end.
type netNamespace struct{ ns, tun *os.File }

func newNamespace() (*netNamespace, error) {
	type result struct {
		space *netNamespace
		err   error
	}
	done := make(chan result)
	go func() {
		// Never unlocked: the thread, which is in the other namespace now, ends with this goroutine.
		goruntime.LockOSThread()
		ns, tun, err := makeNamespace()
		done <- result{&netNamespace{ns, tun}, err}
	}()
	r := <-done
	return r.space, r.err
}

// close may wait for the kernel, which takes away another namespace just then; nobody has to wait for it.
func (s *netNamespace) close() {
	go func() {
		s.tun.Close()
		s.ns.Close()
	}()
}
