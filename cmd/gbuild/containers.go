// This file owns what the commands of containers share: how they find one, and how its end becomes an exit code.

package main

import (
	"errors"
	"fmt"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/statedir"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// openContainers opens the registry, which is made at the first use.
func openContainers(a *cli.App) (*container.Registry, error) {
	state, err := a.StateDir()
	if err != nil {
		return nil, err
	}
	return container.Open(statedir.Containers.In(state))
}

// findContainer finds one by name, or by the start of its id.
func findContainer(a *cli.App, name string) (*container.Container, error) {
	all, err := openContainers(a)
	if err != nil {
		return nil, err
	}
	c, err := all.Find(name)
	// A name that no container can have is an error of the command line, and not one of the registry.
	var bad *container.NameError
	if errors.As(err, &bad) {
		return nil, cli.Usage(err)
	}
	return c, err
}

// eachContainer does one thing to all of them, and prints the names of those that it was done to. One that fails keeps it
// from none of the others.
func eachContainer(a *cli.App, names []string, do func(*container.Container) error) error {
	var errs []error
	for _, n := range names {
		c, err := findContainer(a, n)
		if err == nil {
			err = do(c)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(a.Stdout, n)
	}
	return errors.Join(errs...)
}

// openVolumes makes nothing yet.
func openVolumes(a *cli.App) (container.Volumes, error) {
	state, err := a.StateDir()
	return container.Volumes{Dir: statedir.Volumes.In(state)}, err
}

// containerExit turns the end of a container into docker's exit code: the command's own, or 125 where gbuild
// failed; what the host lacks is 64, as for a build.
func containerExit(a *cli.App, err error) error {
	var exit *runtime.ExitError
	var status cli.ExitStatus
	var stopped cli.Interrupted
	switch {
	case err == nil, errors.As(err, &status):
		return err
	// This order counts: a status that is decided goes first, and an error of the command before one of gbuild.
	case errors.As(err, &stopped):
		return cli.ExitStatus(cli.ExitSignals + int(stopped))
	case errors.As(err, &exit):
		if exit.Err != nil {
			a.PrintError(exit.Err)
		}
		return cli.ExitStatus(exit.Code)
	}
	a.PrintError(err)
	if cli.HostAtFault(err) {
		return cli.ExitStatus(cli.ExitHost)
	}
	return cli.ExitStatus(container.ExitNotStarted)
}
