// This file owns what gbuild run says of a container's life: its name, how it ends, and whether it starts again.

package main

import (
	"cmp"
	"errors"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/container"
)

// runLife is the room of the flags that the registry and the session heed; nothing of it goes into the sandbox.
type runLife struct {
	name, restart, stopSignal string
	stopTimeout               int
	// rmGiven tells --rm=false from no --rm.
	detach, rm, rmGiven bool

	policy container.Restart // restart, parsed
}

// add registers the flags, which are docker's.
func (l *runLife) add(f *pflag.FlagSet) {
	f.StringVar(&l.name, "name", "", "name of the container")
	f.BoolVarP(&l.detach, "detach", "d", false, "run in the background and print the container's id")
	f.BoolVar(&l.rm, "rm", true, "forget the container when it ends (with -d: only when given)")
	f.StringVar(&l.restart, "restart", "no", "no, on-failure[:TIMES], always or unless-stopped")
	f.StringVar(&l.stopSignal, "stop-signal", "", "signal by which gbuild stop asks it to end (default: the image's, or SIGTERM)")
	f.IntVar(&l.stopTimeout, "stop-timeout", 10, "seconds after which gbuild stop kills it")
}

func (l *runLife) parse() (err error) {
	if l.policy, err = container.ParseRestart(l.restart); err != nil {
		return cli.Usagef("--restart %s: %w", l.restart, err)
	}
	if !l.policy.Never() && l.rmGiven && l.rm {
		return errors.New("conflicting options: cannot specify both --restart and --rm")
	}
	// The image's own signal is not known yet; a wrong one is an error of who stops the container.
	_, err = parseSignal(cmp.Or(l.stopSignal, "SIGTERM"))
	return err
}
