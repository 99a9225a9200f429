// This file owns the order of the processes of gbuild run. There are up to three. The one that the user starts checks the
// command line, reads what can be read but once, and makes the entry of the container. With -d it starts a supervisor, which
// stays behind when the user has the prompt again. Whichever of them is the last starts one in the namespaces, which is the
// sandbox's parent. Each has the whole command line, and parses it anew. In the plain case none of that is needed: the
// process is in its namespaces before main (pkg/runtime/host/early.c).

package running

import (
	"context"
	"errors"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// Run runs a container, or does the part of that for which another process of gbuild started this one.
func (o *Options) Run(ctx context.Context, a *cli.App) error {
	if err := o.check(a); err != nil {
		return err
	}
	l := &launch{app: a, options: o}
	if id := a.Env(containerVar); id != "" {
		return l.goOn(ctx, id)
	}
	// Only the first process comes here: it reads what can be read but once, and hands it on.
	if err := readOnce(ctx, a, o); err != nil {
		return err
	}
	var err error
	if l.container, err = register(ctx, a, o); err != nil {
		return err
	}
	if o.Life.Detach {
		return l.detach(ctx)
	}
	if o.detachable() {
		return l.runDetachable(ctx)
	}
	defer func() { _ = l.container.Remove() }() // a container in the foreground is forgotten, whatever --rm says
	if host.Entered() {                         // before main
		return l.runEntered(ctx)
	}
	return l.enter(ctx)
}

// readOnce reads the files that the command line names and that the processes which follow may be unable to read.
func readOnce(ctx context.Context, a *cli.App, o *Options) (err error) {
	if a.Handed.FileEnv, err = o.Process.readEnvFiles(a, a.Streams.Reader(ctx)); err != nil {
		return err
	}
	return o.Box.keepProfile(a.Streams.Reader(ctx))
}

// register makes the entry of a new container. Its name is taken from here on.
func register(ctx context.Context, a *cli.App, o *Options) (*container.Container, error) {
	if err := o.Entry.checkIDFile(); err != nil {
		return nil, err
	}
	labels, err := o.Entry.labels(ctx, a)
	if err != nil {
		return nil, err
	}
	all, err := a.Containers()
	if err != nil {
		return nil, err
	}
	l := &o.Life
	c, err := all.Create(container.Record{Labels: labels, Name: l.Name, Image: o.Image.Name, Command: o.Process.Args, Detached: l.Detach || o.detachable(), Interactive: o.Process.Interactive, TTY: o.Process.TTY,
		Forget: !l.Detach || l.RMGiven && l.RM, Restart: l.Restart, StopSignal: l.StopSignal, StopTimeout: l.StopTimeout})
	if err != nil {
		return nil, err
	}
	if err := o.Entry.writeID(c); err != nil {
		return nil, errors.Join(err, c.Remove())
	}
	return c, nil
}
