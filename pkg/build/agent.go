package build

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// agent gives an ssh agent by a socket of this build's own, which passes on what a RUN may say. So the socket has the owner
// and the mode that the mount asks for, and the agent, which answers only its own user, speaks with the one who builds.
func (m *mounts) agent(d *dockerfile.Mount) (*runtime.Mount, error) {
	agent, ok := m.req.Agents[d.ID]
	if !ok {
		if d.Required {
			return nil, &MissingAgentError{ID: d.ID}
		}
		return nil, nil
	}
	socket, err := m.scratch.name("agent")
	if err != nil {
		return nil, err
	}
	l, err := listen(socket)
	if err != nil {
		return nil, fmt.Errorf("opening a socket for the ssh agent: %w", err)
	}
	m.later(l.Close)
	err = errors.Join(os.Chown(socket, valueOr(d.UID, 0), valueOr(d.GID, 0)), unix.Chmod(socket, valueOr(d.Mode, 0o600)))
	if err != nil {
		return nil, fmt.Errorf("opening a socket for the ssh agent: %w", err)
	}
	go passOn(l, agent)
	return &runtime.Mount{Type: "bind", Source: socket, Target: d.Target}, nil
}

// listen opens a socket whose path may be longer than the 107 bytes that the kernel takes.
func listen(path string) (net.Listener, error) {
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

// passOn joins what connects to l with the agent, until l is closed. A connection ends when the process of the RUN does.
func passOn(l net.Listener, agent Secret) {
	places := make(chan struct{}, maxAgentClients)
	for {
		places <- struct{}{}
		from, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			join(from.(*net.UnixConn), agent)
			<-places
		}()
	}
}

func join(from *net.UnixConn, agent Secret) {
	defer from.Close()
	to, err := net.Dial("unix", agent.Socket)
	if err != nil {
		return // the client of the RUN sees that its connection ends, and says so
	}
	defer to.Close()
	if !agent.Raw {
		filterAgent(from, to) // its error is that of one client, which sees it too
		return
	}
	go func() {
		io.Copy(to, from)
		to.(*net.UnixConn).CloseWrite()
	}()
	io.Copy(from, to)
}
