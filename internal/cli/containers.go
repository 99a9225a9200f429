// This file owns what commands of containers have in common: where containers and volumes are, and how the end of one becomes an
// exit code.

package cli

import (
	"errors"

	"github.com/gbuild/gbuild/internal/statedir"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// Containers opens the registry, which is made at the first use.
func (a *App) Containers() (*container.Registry, error) {
	state, err := a.StateDir()
	if err != nil {
		return nil, err
	}
	return container.Open(statedir.Containers.In(state))
}

// Volumes are those of this user. Nothing is made yet.
func (a *App) Volumes() (container.Volumes, error) {
	state, err := a.StateDir()
	return container.Volumes{Dir: statedir.Volumes.In(state)}, err
}

// ContainerExit turns the end of a container into docker's exit code: the command's own, or 125 where gbuild
// failed; what the host lacks is 64, as for a build.
func (a *App) ContainerExit(err error) error {
	var exit *runtime.ExitError
	var status ExitStatus
	var stopped Interrupted
	switch {
	case err == nil, errors.As(err, &status):
		return err
	// This order counts: a status that is decided goes first, and an error of the command before one of gbuild.
	case errors.As(err, &stopped):
		return ExitStatus(ExitSignals + int(stopped))
	case errors.As(err, &exit):
		if exit.Err != nil {
			a.PrintError(exit.Err)
		}
		return ExitStatus(exit.Code)
	}
	a.PrintError(err)
	if HostAtFault(err) {
		return ExitStatus(ExitHost)
	}
	return ExitStatus(container.ExitNotStarted)
}
