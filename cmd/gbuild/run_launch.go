// This file owns what the processes of one gbuild run have in common, and hand on to each other.

package main

import (
	"os"

	"github.com/gbuild/gbuild/pkg/container"
)

// launch is one gbuild run, as each of its processes sees it.
type launch struct {
	app       *app
	options   *runOptions
	container *container.Container
}

// containerVar carries the id of its container to a process that gbuild starts for it.
const containerVar = "_GBUILD_CONTAINER"

// lockFD is the descriptor by which such a process inherits the lock of its container.
const lockFD = portsFD - 1

// environ is the environment of a process for the container, to which this one hands the command on.
func (l *launch) environ() ([]string, error) {
	handed, err := l.app.handOn()
	return append(os.Environ(), handed, containerVar+"="+l.container.ID), err
}
