// This file owns what the commands of containers share: how they find one, and how they go through several.

package main

import (
	"errors"
	"fmt"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/running"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/layers"
)

// findContainer finds one by name, or by the start of its id.
func findContainer(a *cli.App, name string) (*container.Container, error) {
	all, err := a.Containers()
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

// statesOfContainers are what the files of containers stand on that can be started again.
func statesOfContainers(a *cli.App) (states []layers.Key, err error) {
	all, err := a.Containers()
	if err != nil {
		return nil, err
	}
	list, err := all.List()
	for _, c := range list {
		if key, err := running.StateOf(c); err == nil {
			states = append(states, key)
		}
	}
	return states, err
}
