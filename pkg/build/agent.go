// This file owns --mount=type=ssh.

package build

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/sshagent"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/remote"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// agent gives an ssh agent by a socket of this build's own, which passes on what a RUN may say. So the socket has the owner
// and the mode that the mount asks for, and the agent, which answers only its own user, speaks with the one who builds.
func (m *mounts) agent(d *dockerfile.Mount) (*runtime.Mount, error) {
	agent, ok := m.work.build.req.Agents[d.ID]
	if !ok {
		if d.Required {
			return nil, remote.MissingAgent(d.ID)
		}
		return nil, nil
	}
	socket, err := m.work.build.runs.scratch.name("agent")
	if err != nil {
		return nil, err
	}
	l, err := sshagent.Listen(socket)
	if err != nil {
		return nil, fmt.Errorf("opening a socket for the ssh agent: %w", err)
	}
	m.leases.Later(l.Close)
	err = errors.Join(rootfs.Kept(rootfs.Owner{UID: valueOr(d.UID, 0), GID: valueOr(d.GID, 0)}.GivePath(socket)), unix.Chmod(socket, valueOr(d.Mode, 0o600)))
	if err != nil {
		return nil, fmt.Errorf("opening a socket for the ssh agent: %w", err)
	}
	go sshagent.PassOn(l, agent.Socket, agent.Raw)
	return &runtime.Mount{Type: "bind", Source: socket, Target: d.Target}, nil
}
