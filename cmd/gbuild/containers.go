// This file owns how commands find containers and volumes.

package main

import (
	"errors"
	"fmt"

	"github.com/gbuild/gbuild/internal/statedir"
	"github.com/gbuild/gbuild/pkg/container"
)

func openContainers(a *app) (*container.Registry, error) {
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	return container.Open(statedir.Containers.In(state))
}

// findContainer finds one by name, or by the start of its id.
func findContainer(a *app, name string) (*container.Container, error) {
	all, err := openContainers(a)
	if err != nil {
		return nil, err
	}
	c, err := all.Find(name)
	var bad *container.NameError
	if errors.As(err, &bad) {
		return nil, usageError{err}
	}
	return c, err
}

// eachContainer does one thing to all of them, and prints the names of those that it was done to.
func eachContainer(a *app, names []string, do func(*container.Container) error) error {
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
		fmt.Fprintln(a.stdout, n)
	}
	return errors.Join(errs...)
}

func openVolumes(a *app) (container.Volumes, error) {
	state, err := a.stateDir()
	return container.Volumes{Dir: statedir.Volumes.In(state)}, err
}
