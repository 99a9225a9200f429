// This file owns the list of what gbuild run can be told: one room for each part of a container.

package main

import (
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
)

// runOptions are the flags of gbuild run. Each room adds its flags (add), reads them before anything is made (parse), and
// puts what they mean into its part of the Sandbox (fill). What needs the image, as a user's name does, is read in fill.
type runOptions struct {
	life    runLife
	image   runImage
	process runProcess
	network runNetwork
	box     runBox
	mounts  runMounts
	caches  runCaches
	devices runDevices
	limits  runLimits

	isolation cli.IsolationFlag
}

// add adds all flags. Those after the image belong to the command.
func (o *runOptions) add(f *pflag.FlagSet) {
	f.SetInterspersed(false)
	f.Bool("help", false, "help for run") // else cobra would take -h, which is docker's --hostname
	for _, room := range []interface{ add(*pflag.FlagSet) }{&o.life, &o.image, &o.process, &o.network, &o.box, &o.mounts, &o.caches, &o.devices, &o.limits} {
		room.add(f)
	}
	o.isolation.Add(f)
}

// check refuses command lines that make no sense before anything is made for them.
func (o *runOptions) check(a *cli.App) error {
	if o.process.tty && o.process.interactive && !o.life.detach && !cli.IsTerminal(a.Stdin) {
		return hint.Errorf("leave out -t, or run it in a terminal", "the input device is not a TTY")
	}
	for _, room := range []interface{ parse() error }{&o.life, &o.image, &o.network, &o.box, &o.mounts, &o.devices, &o.limits} {
		if err := room.parse(); err != nil {
			return err
		}
	}
	// Whoever runs a cluster may demand more than the user asks for.
	var err error
	o.network.kind, err = a.Environ.AcceptedNetwork(o.network.kind, nil)
	return err
}
