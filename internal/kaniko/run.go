// This file owns the order in which a line is carried out.

package kaniko

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
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
