// This file owns the processes of gbuild run outside of the namespaces: the one that the user starts, and the supervisor of
// a detached container.

package running

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// goOn is the part of a process that gbuild started for the container: of the one in the namespaces, or of the supervisor.
func (l *launch) goOn(ctx context.Context, id string) error {
	all, err := l.app.Containers()
	if err != nil {
		return err
	}
	syscall.CloseOnExec(lockFD) // neither a helper nor the command may keep the container alive
	if l.container, err = all.TakeOver(id, os.NewFile(lockFD, "lock")); err != nil {
		return err
	}
	if host.Entered() {
		return l.runEntered(ctx)
	}
	err = l.enter(ctx)
	// --rm of a detached container: its entry and its log go with its end.
	if l.container.Forget {
		_ = l.container.Remove()
	}
	return err
}

// detach lets the container go on in the background.
func (l *launch) detach(ctx context.Context) error {
	if l.stays() {
		if err := keepPlan(l.app, l.options, l.container); err != nil {
			return errors.Join(err, l.container.Remove())
		}
	}
	err := l.supervise(ctx, "", os.Environ())
	if err == nil { // as docker does, and nothing else goes to standard output
		fmt.Fprintln(l.app.Stdout, l.container.ID)
	}
	return err
}

// runDetachable runs a container in the background that the user is attached to, and can leave by keys.
func (l *launch) runDetachable(ctx context.Context) error {
	if err := l.supervise(ctx, "", append(os.Environ(), attachedVar+"=1")); err != nil {
		return err
	}
	return Attach(l.app, l.container, AttachOptions{Input: true, Keys: l.options.Life.DetachKeys, Begin: true})
}

// enter runs this command again in namespaces, with the lock of the container and the sockets of its ports. What the child
// does to the terminal is undone, however it ends.
func (l *launch) enter(ctx context.Context) (err error) {
	want, err := l.options.Isolation.Parse(l.app.Environ)
	if err != nil {
		return err
	}
	if !want.Enters() {
		return &host.Missing{What: "a container needs namespaces, which the isolation " + want.String() + " has not", Remedy: "leave out --isolation, or GBUILD_ISOLATION"}
	}
	signal.Reset(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP) // host.Enter hands them on, and each of them
	sockets, err := l.openPorts()
	if err != nil {
		return err
	}
	defer cli.KeepTerminal(l.app.Stdin)()
	env, err := l.environ(os.Environ())
	if err != nil {
		return err
	}
	runtime.RaiseLimits(l.options.Box.Ulimits)
	// Limits are made here, where the rights of the host's user count.
	group, err := l.options.Limits.makeCgroup(l.container.ShortID(), l.app.Notice)
	if err != nil {
		return err
	}
	if group != nil {
		env = append(env, cgroupVar+"="+group.Path)
		defer func() { err = errors.Join(err, group.Remove()) }()
	}
	// The child gets the signals, too, and cleans up; ending its context would kill it in the midst of that.
	code, err := host.Enter(context.WithoutCancel(ctx), host.EnterOptions{Isolation: want, Args: cli.ShownArgs("run", "--name", l.container.Name), Env: env, Files: []*os.File{l.container.Lock()}, Handed: sockets})
	if err != nil || code == 0 {
		return err
	}
	return cli.ExitStatus(code)
}

// openPorts returns the sockets that the process in the namespaces inherits, and writes the ports down. That process alone has them
// afterwards: in the host's network it closes one at whose port the command is to listen.
func (l *launch) openPorts() (sockets []*os.File, err error) {
	ports := l.options.Network.published()
	if err := listenAll(ports); err != nil {
		return nil, err
	}
	for _, p := range ports {
		sockets = append(sockets, p.file)
		l.container.Ports = append(l.container.Ports, p.String())
	}
	return sockets, l.container.Save()
}
