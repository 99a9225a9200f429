// This file owns which system calls of a sandbox this process answers, and for how long: see package supervisor.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/gbuild/gbuild/pkg/runtime/host"
	"github.com/gbuild/gbuild/pkg/runtime/supervisor"
)

// supervision is how calls of one sandbox are answered.
type supervision struct {
	level    supervisor.Level
	dir      *os.File             // where the socket is
	socket   string               // where the descriptors of filters are sent; by way of dir, as the path of a socket may have 107 bytes only
	listener *supervisor.Listener // nil where no call is answered
}

// supervise begins to answer the calls of a sandbox. Where that fails later, cancel is called with the reason.
func supervise(s *Sandbox, dir string, cancel context.CancelCauseFunc) (*supervision, error) {
	v := &supervision{level: levelOf(s)}
	if v.level == supervisor.None || v.level == supervisor.Fake {
		return v, nil
	}
	var err error
	if v.dir, err = os.Open(dir); err != nil {
		return v, fmt.Errorf("opening the directory of the sandbox: %w", err)
	}
	v.socket = fmt.Sprintf("/proc/self/fd/%d/calls", v.dir.Fd())
	v.listener, err = supervisor.Listen(v.socket, supervisor.Options{
		Level: v.level, NoNewPrivileges: s.NoNewPrivileges, OwnRoots: s.Insecure, MknodWithheld: withholdsMknod(s), Failed: func(err error) { cancel(err) },
	})
	if err != nil {
		return v, errors.Join(err, v.close())
	}
	return v, nil
}

// levelOf is how much is answered: what the kernel cannot do in these namespaces, if there is a filter at all.
func levelOf(s *Sandbox) supervisor.Level {
	single := host.SingleID()
	switch {
	case !host.FiltersCalls || s.KeepID != nil:
		return supervisor.None
	case s.Isolation == host.Fake:
		return supervisor.Fake
	case host.MissingNotify() == nil && single:
		return supervisor.Full
	case host.MissingNotify() == nil:
		return supervisor.Devices
	case single:
		s.notice(fmt.Sprintf("changes of owners and users succeed without having done anything: %v", host.MissingNotify()))
		return supervisor.Fake
	}
	return supervisor.None // as inside of a RUN: its devices are made by whoever answers outside
}

// oneUser says whether the kernel knows root only in the sandbox.
func (v *supervision) oneUser() bool {
	return v.level == supervisor.Full || v.level == supervisor.NoStat || v.level == supervisor.Fake
}

func (v *supervision) close() error {
	var err error
	if v.listener != nil {
		err = v.listener.Close()
	}
	if v.dir != nil {
		err = errors.Join(err, v.dir.Close())
	}
	return err
}
