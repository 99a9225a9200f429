// This file owns how cache mounts come from other machines and go to them, at a command of the user's and around a build.

package cli

import (
	"context"
	"time"

	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/pipcache/travel"
)

// KeepTravelled is for how long a push keeps what no machine has had, unless --keep says otherwise.
const KeepTravelled = 30 * 24 * time.Hour

// Travel is one way of cache mounts: all that have the scope, to a place or from there.
type Travel struct {
	Place   image.Ref
	Move    func(context.Context, travel.Place, *pipcache.Caches, travel.Options) (string, error) // travel.Push or travel.Pull
	Options travel.Options
}

// Run moves the cache mounts, and says in words what moved.
func (t Travel) Run(ctx context.Context, a *App) (string, error) {
	place, err := image.NewCollection(t.Place, a.Registries.Options())
	if err != nil {
		return "", Usage(err)
	}
	caches, err := a.OpenCaches()
	if err != nil {
		return "", err
	}
	return t.Move(ctx, place, caches, t.Options)
}
