// This file owns what the processes of one gbuild run have in common, and hand on to each other.

package running

import (
	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/container"
)

// launch is one gbuild run, as each of its processes sees it.
type launch struct {
	app       *cli.App
	options   *Options
	container *container.Container
}

// containerVar carries the id of its container to a process that gbuild starts for it. The code in C looks for it, too: such
// a process does not enter namespaces before main.
const containerVar = "_GBUILD_CONTAINER"

// attachedVar says that whoever started the container is about to attach to it.
const attachedVar = "_GBUILD_ATTACHED"

// onceVar says that a command that has ended is not run again, whatever the policy is.
const onceVar = "_GBUILD_ONCE"

// lockFD is the descriptor by which such a process inherits the lock of its container. It is one and the same lock in all of
// them, so that the container counts as alive until the last of them ends.
const lockFD = portsFD - 1

// environ is the environment of a process for the container, to which this one hands the command on: that of base, and more.
func (l *launch) environ(base []string) ([]string, error) {
	handed, err := l.app.HandOn()
	return append(base, handed, containerVar+"="+l.container.ID), err
}
