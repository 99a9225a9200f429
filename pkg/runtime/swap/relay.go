// This file owns sockets that a command sees in a root directory from where the real one cannot be reached.

package swap

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// prepareRelay listens where a socket is shown, and passes on to Source what is said there. It has the owner and the mode of that.
func (s *Swap) prepareRelay(e *entry, like *unix.Stat_t) error {
	dir, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	at := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), path.Base(e.In)) // the name of a socket has 107 bytes at most
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: at, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false) // it is moved to where it is shown
	s.relays = append(s.relays, l)
	if err := errors.Join(os.Lchown(at, int(like.Uid), int(like.Gid)), unix.Chmod(at, like.Mode&0o7777)); err != nil {
		return err
	}
	go relay(l, e.Source)
	return nil
}

// relay passes on until the listener is closed.
func relay(l *net.UnixListener, to string) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			d, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: to, Net: "unix"})
			if err != nil {
				return
			}
			defer d.Close()
			go func() {
				_, _ = io.Copy(d, c)
				_ = d.CloseWrite()
			}()
			_, _ = io.Copy(c, d)
		}()
	}
}
