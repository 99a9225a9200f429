// This file owns gbuild run, and the order of its processes. There are up to three. The one that the user starts checks the
// command line, reads what can be read but once, and makes the entry of the container. With -d it starts a supervisor, which
// stays behind when the user has the prompt again. Whichever of them is the last starts one in the namespaces, which is the
// sandbox's parent. Each has the whole command line, and parses it anew. In the plain case none of that is needed: the
// process is in its namespaces before main (pkg/runtime/host/early.c).

package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// newRunCommand makes the command. It is executed by up to three processes, one after the other: see run_start.go.
func newRunCommand(a *cli.App) *cobra.Command {
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
			// An empty entrypoint, and --rm with -d, mean something else when they are given than when they are left out.
			o.life.rmGiven, o.process.entrypointGiven = c.Flags().Changed("rm"), c.Flags().Changed("entrypoint")
			if !c.Flags().Changed("caches") {
				o.caches.names = a.Env("GBUILD_RUN_CACHES")
			}
			return containerExit(a, runCommand(c.Context(), a, o))
		},
	}
	o.add(c.Flags())
	a.Registries.AddInsecure(c.Flags())
	return c
}

// runCommand runs a container, or does the part of that for which another process of gbuild started this one.
func runCommand(ctx context.Context, a *cli.App, o *runOptions) error {
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
	if l.container, err = register(a, o); err != nil {
		return err
	}
	if o.life.detach {
		return l.detach(ctx)
	}
	defer func() { _ = l.container.Remove() }() // a container in the foreground is forgotten, whatever --rm says
	if host.Entered() {                         // before main
		return l.runEntered(ctx)
	}
	return l.enter(ctx)
}

// readOnce reads the files that the command line names and that the processes which follow may be unable to read.
func readOnce(ctx context.Context, a *cli.App, o *runOptions) (err error) {
	if a.Handed.FileEnv, err = o.process.readEnvFiles(a, a.Streams.Reader(ctx)); err != nil {
		return err
	}
	return o.box.keepProfile(a.Streams.Reader(ctx))
}

// register makes the entry of a new container. Its name is taken from here on.
func register(a *cli.App, o *runOptions) (*container.Container, error) {
	all, err := openContainers(a)
	if err != nil {
		return nil, err
	}
	l := &o.life
	return all.Create(container.Record{Name: l.name, Image: o.image.name, Command: o.process.args, Detached: l.detach,
		Forget: !l.detach || l.rmGiven && l.rm, StopSignal: l.stopSignal, StopTimeout: l.stopTimeout})
}
