// This file owns the socket that a sandbox sees, and its connections to the agent.

package sshagent

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
)

// Listen opens a socket whose path may be longer than the 107 bytes that the kernel takes.
func Listen(path string) (net.Listener, error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	l, err := net.Listen("unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // by then that path leads elsewhere; the file goes with its tmpfs
	return l, nil
}

// maxAgentClients is how many connections a RUN can have to one agent at a time; others wait to be accepted.
const maxAgentClients = 64

// PassOn joins what connects to l with the agent at a socket, until l is closed: for the messages that are allowed, or raw for
// all. A connection ends when the process of the RUN does.
func PassOn(l net.Listener, agent string, raw bool) {
	places := make(chan struct{}, maxAgentClients)
	for {
		places <- struct{}{}
		from, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			join(from.(*net.UnixConn), agent, raw)
			<-places
		}()
	}
}

func join(from *net.UnixConn, agent string, raw bool) {
	defer from.Close()
	to, err := net.Dial("unix", agent)
	if err != nil {
		return // the client of the RUN sees that its connection ends, and says so
	}
	defer to.Close()
	if !raw {
		filterAgent(from, to) // its error is that of one client, which sees it too
		return
	}
	go func() {
		io.Copy(to, from)
		to.(*net.UnixConn).CloseWrite()
	}()
	io.Copy(from, to)
}
