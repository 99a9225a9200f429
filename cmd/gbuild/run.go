// This file owns gbuild run: its flags by room, the order of its processes, and its exit codes.

package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// runOptions are the flags of gbuild run. Each room adds its flags, checks them in parse before anything is made, and fills
// in its part of the Sandbox.
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
}

func newRunCommand(a *app) *cobra.Command {
	o := &runOptions{}
	c := &cobra.Command{
		Use: "run [flags] IMAGE [COMMAND [ARG...]]", Short: "Run a command in an image, with GPUs where asked for", Args: cobra.MinimumNArgs(1),
		Long: `Run a command in an image: a local name, a registry reference (pulled where it is not here), oci:DIR or an archive.
What the command writes outside of volumes is discarded when it ends.

EXIT STATUS: that of the command; 64 this host lacks something, 125 the container could not be started, 126 the command cannot be run, 127 it was not found.`,
		Example: `  gbuild run my-agent python3 train.py
  gbuild run --gpus all -it -v $(pwd)/outputs:/workspace/outputs --caches --env-file .env my-agent bash
  gbuild run -d --name api -p 8000:8000 my-agent && gbuild logs -f api`,
		RunE: func(c *cobra.Command, args []string) error {
			o.image.name, o.process.args = args[0], args[1:]
			o.life.rmGiven, o.process.entrypointGiven = c.Flags().Changed("rm"), c.Flags().Changed("entrypoint")
			if !c.Flags().Changed("caches") {
				o.caches.names = a.env("GBUILD_RUN_CACHES")
			}
			return containerExit(a, runCommand(c.Context(), a, o))
		},
	}
	f := c.Flags()
	f.SetInterspersed(false)
	f.Bool("help", false, "help for run")
	for _, room := range []interface{ add(*pflag.FlagSet) }{&o.life, &o.image, &o.process, &o.network, &o.box, &o.mounts, &o.caches, &o.devices, &o.limits} {
		room.add(f)
	}
	a.registries.addInsecure(f)
	return c
}

// check refuses command lines that make no sense before anything is made for them.
func (o *runOptions) check(a *app) error {
	if o.process.tty && o.process.interactive && !o.life.detach && !isTerminal(a.stdin) {
		return hint.Errorf("leave out -t, or run it in a terminal", "the input device is not a TTY")
	}
	for _, room := range []interface{ parse() error }{&o.life, &o.image, &o.network, &o.box, &o.mounts, &o.devices, &o.limits} {
		if err := room.parse(); err != nil {
			return err
		}
	}
	var err error
	o.network.kind, err = a.environ.acceptedNetwork(o.network.kind, nil)
	return err
}

// oneOf checks the value of a flag that is one of several words.
func oneOf(flag, value string, words ...string) error {
	if slices.Contains(words, value) {
		return nil
	}
	return usagef("%s %s: it is one of %s", flag, value, strings.Join(words, ", "))
}

// runCommand runs a container, or does the part of that for which another process of gbuild started this one.
func runCommand(ctx context.Context, a *app, o *runOptions) error {
	if err := o.check(a); err != nil {
		return err
	}
	l := &launch{app: a, options: o}
	if id := a.env(containerVar); id != "" {
		return l.goOn(ctx, id)
	}
	if err := readOnce(ctx, a, o); err != nil {
		return err
	}
	var err error
	if l.container, err = register(a, o); err != nil {
		return err
	}
	if o.life.detach {
		return l.detach(ctx)
	}
	defer func() { _ = l.container.Remove() }()
	if runtime.Entered() { // before main
		return l.runEntered(ctx)
	}
	return l.enter(ctx)
}

// readOnce reads the files that the command line names and that the processes which follow may be unable to read.
func readOnce(ctx context.Context, a *app, o *runOptions) (err error) {
	if a.handed.FileEnv, err = o.process.readEnvFiles(a, a.streams.reader(ctx)); err != nil {
		return err
	}
	return o.box.keepProfile(a.streams.reader(ctx))
}

// register makes the entry of a new container.
func register(a *app, o *runOptions) (*container.Container, error) {
	all, err := openContainers(a)
	if err != nil {
		return nil, err
	}
	l := &o.life
	return all.Create(container.Record{Name: l.name, Image: o.image.name, Command: o.process.args, Detached: l.detach,
		Forget: !l.detach || l.rmGiven && l.rm, StopSignal: l.stopSignal, StopTimeout: l.stopTimeout})
}

// containerExit turns the end of a container into docker's exit code: the command's own, or 125 where gbuild
// failed; what the host lacks is 64, as for a build.
func containerExit(a *app, err error) error {
	var exit *runtime.ExitError
	var status exitStatus
	var stopped interrupted
	var missing *runtime.Missing
	switch {
	case err == nil, errors.As(err, &status):
		return err
	case errors.As(err, &stopped):
		return exitStatus(exitSignals + int(stopped.sig))
	case errors.As(err, &exit):
		if exit.Err != nil {
			a.printError(exit.Err)
		}
		return exitStatus(exit.Code)
	}
	a.printError(err)
	if errors.As(err, &missing) {
		return exitStatus(exitHost)
	}
	return exitStatus(container.ExitNotStarted)
}
