// This file owns what gbuild run says of a container's life: its name, how it ends, and whether it starts again.

package running

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/container"
)

// Life is the part about the flags that the registry and the session heed; nothing of it goes into the sandbox.
type Life struct {
	Name, Restart, StopSignal string
	StopTimeout               int
	// RMGiven tells --rm=false from no --rm.
	Detach, RM, RMGiven bool
	SigProxy            bool
	DetachKeys          string // "": nobody can leave a container in the foreground

	LogDriver string
	LogOpts   []string

	policy container.Restart   // Restart, parsed
	log    container.LogPolicy // LogDriver and LogOpts, parsed
}

// Flags registers the flags, which are docker's.
func (l *Life) Flags(f *pflag.FlagSet) {
	f.StringVar(&l.Name, "name", "", "name of the container")
	f.BoolVarP(&l.Detach, "detach", "d", false, "run in the background and print the container's id")
	f.BoolVar(&l.RM, "rm", l.RM, "forget the container when it ends (with -d: only when given)")
	f.StringVar(&l.Restart, "restart", l.Restart, "no, on-failure[:TIMES], always or unless-stopped")
	f.StringVar(&l.DetachKeys, "detach-keys", "", "with -it: keys by which you leave the container, which goes on, such as "+cli.DefaultDetachKeys)
	f.BoolVar(&l.SigProxy, "sig-proxy", l.SigProxy, "hand signals on to the command; else they end the container")
	f.StringVar(&l.StopSignal, "stop-signal", "", "signal by which gbuild stop asks it to end (default: the image's, or SIGTERM)")
	f.StringVar(&l.LogDriver, "log-driver", "", "json-file, local (rotates at 20m), or none: what is kept for gbuild logs, with -d")
	f.Var((*cli.List)(&l.LogOpts), "log-opt", "max-size=SIZE, max-file=NUMBER (repeatable)")
	f.IntVar(&l.StopTimeout, "stop-timeout", l.StopTimeout, "seconds after which gbuild stop kills it")
}

func (l *Life) parse() (err error) {
	if l.policy, err = container.ParseRestart(l.Restart); err != nil {
		return cli.Usagef("--restart %s: %w", l.Restart, err)
	}
	if !l.policy.Never() && l.RMGiven && l.RM {
		return errors.New("conflicting options: cannot specify both --restart and --rm")
	}
	if l.log, err = container.ParseLog(l.LogDriver, l.LogOpts); err != nil {
		return cli.Usage(fmt.Errorf("--log-driver and --log-opt: %w", err))
	}
	if _, err := cli.ParseDetachKeys(cmp.Or(l.DetachKeys, cli.DefaultDetachKeys)); err != nil {
		return err
	}
	// The image's own signal is not known yet; a wrong one is an error of who stops the container.
	_, err = cli.ParseSignal(cmp.Or(l.StopSignal, "SIGTERM"))
	return err
}
