// This file owns the order in which a line is carried out, and the exit codes that kaniko has.

package kaniko

import (
	"context"
	"errors"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// Run does what a line says; flags are those that its fields were filled in by.
func (l *Line) Run(ctx context.Context, a *cli.App, flags *pflag.FlagSet, isolation cli.IsolationFlag) error {
	if err := l.complete(flags, a.Environ); err != nil {
		return err
	}
	root := a.Flags.Root
	o, err := l.options(a)
	if err != nil {
		return err
	}
	if flags.Changed("root") { // gbuild's own flag says more than --cache-dir
		a.Flags.Root = root
	}
	o.Isolation, o.Notices = isolation, l.Notices(flags)
	r, err := o.Run(ctx, a)
	if err != nil {
		return l.explained(err)
	}
	if r == nil { // another process has done all
		return nil
	}
	return l.writeReceipts(ctx, r, a.Environ)
}

// Exit gives an error the exit code that kaniko has for it: that of the command of a RUN, else 1. Who interrupts a build, and a
// process that has gone on with the command line, have said their code already.
func Exit(err error) error {
	var exit *runtime.ExitError
	var said cli.ExitStatus
	var stopped cli.Interrupted
	switch {
	case err == nil || errors.As(err, &said) || errors.As(err, &stopped):
		return err
	case errors.As(err, &exit) && exit.Code > 0:
		return cli.WithCode(exit.Code, err)
	}
	return cli.WithCode(cli.ExitFailed, err)
}
