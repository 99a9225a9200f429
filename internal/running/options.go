// This file owns the list of what can be said of a container: one struct for each matter, their defaults and their flags.

package running

import (
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
)

// Options are all that a command line can say of a container that is to run. Each part adds its flags (Flags), reads what they
// say before anything is made (parse), and puts what it means into its part of the Sandbox (fill). What needs the image, as a
// user's name does, is read in fill.
type Options struct {
	Life    Life
	Image   Image
	Process Process
	Network Network
	Box     Box
	Mounts  Mounts
	Caches  Caches
	Devices Devices
	Kernel  Kernel
	Entry   Entry
	Health  Health
	Limits  Limits
	Others  Others

	Isolation cli.IsolationFlag
}

// New returns the options of a command line without flags, but for the image, which has no default.
func New() *Options {
	return &Options{
		Life:    Life{Restart: "no", StopTimeout: 10, RM: true, SigProxy: true},
		Image:   Image{Pull: "missing"},
		Network: Network{Kind: "default"},
		Box:     Box{IPC: "private"},
	}
}

// Given notes which of the flags were given that mean something else then than when they are left out: an empty entrypoint, and
// --rm with -d. The environment counts where --caches was not given.
func (o *Options) Given(f *pflag.FlagSet, environ cli.Environment) {
	o.Life.RMGiven, o.Process.EntrypointGiven = f.Changed("rm"), f.Changed("entrypoint")
	if !f.Changed("caches") {
		o.Caches.Names = environ.Get("GBUILD_RUN_CACHES")
	}
}

// Flags adds all flags. Those after the image belong to the command.
func (o *Options) Flags(f *pflag.FlagSet) {
	f.SetInterspersed(false)
	f.Bool("help", false, "help for run") // else cobra would take -h, which is docker's --hostname
	for _, part := range []interface{ Flags(*pflag.FlagSet) }{&o.Life, &o.Image, &o.Process, &o.Network, &o.Box, &o.Mounts, &o.Caches, &o.Devices, &o.Kernel, &o.Entry, &o.Health, &o.Limits, &o.Others} {
		part.Flags(f)
	}
	o.Isolation.Add(f)
}

// detachable says whether the user wants to be able to leave a container in the foreground.
func (o *Options) detachable() bool {
	return o.Life.DetachKeys != "" && o.Process.TTY && o.Process.Interactive && !o.Life.Detach
}

// check refuses command lines that make no sense before anything is made for them.
func (o *Options) check(a *cli.App) error {
	supervised := o.Life.Detach || o.detachable() && a.Env(containerVar) != ""
	if o.Process.TTY && o.Process.Interactive && !supervised && !cli.IsTerminal(a.Stdin) {
		return hint.Errorf("leave out -t, or run it in a terminal", "the input device is not a TTY")
	}
	for _, part := range []interface{ parse() error }{&o.Life, &o.Image, &o.Network, &o.Box, &o.Mounts, &o.Devices, &o.Kernel, &o.Health, &o.Limits, &o.Others} {
		if err := part.parse(); err != nil {
			return err
		}
	}
	// Whoever runs a cluster may demand more than the user asks for. (--userns=host shares nothing: there is a user namespace all the same.)
	err := a.Environ.AcceptedProcesses(o.Kernel.PID == "host")
	if err != nil {
		return err
	}
	o.Network.Kind, err = a.Environ.AcceptedNetwork(o.Network.Kind, nil)
	return err
}
