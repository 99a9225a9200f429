package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/lazyregexp"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// nameGrammar is docker's grammar of the name of a volume or container; any other SOURCE of a -v is a path.
var nameGrammar = lazyregexp.New(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// emptyVolume is the type of a mount of a volume that does not begin with what the image has.
const emptyVolume = "volume-nocopy"

// openVolumes opens the named volumes: directories that outlive containers, leased as caches are, but never removed
// with them.
func (a *app) openVolumes() (*pipcache.Caches, error) {
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	return pipcache.Open(filepath.Join(state, "volumes"))
}

// bindVolumes leases the volumes among the sandbox's mounts, which become binds. A new volume begins with what the image
// has in its place.
func (a *app) bindVolumes(ctx context.Context, box *runtime.Sandbox, image *layers.View) (release func() error, err error) {
	var leases []*pipcache.Lease
	release = func() (err error) {
		for _, l := range leases {
			err = errors.Join(err, l.Release())
		}
		return err
	}
	for i := range box.Mounts {
		m := &box.Mounts[i]
		empty := m.Type == emptyVolume
		if m.Type != "volume" && !empty {
			continue
		}
		volumes, err := a.openVolumes()
		if err != nil {
			return release, err
		}
		lease, err := volumes.Acquire(ctx, m.Source, pipcache.Shared, pipcache.Options{Seed: func(dir string) error {
			if empty {
				return nil
			}
			err := build.CopyDirectory(ctx, image, m.Target, dir)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}})
		if err != nil {
			return release, fmt.Errorf("volume %s: %w", m.Source, err)
		}
		leases = append(leases, lease)
		m.Type, m.Source = "bind", lease.Dir()
	}
	return release, nil
}

func newVolumeCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "volume", Short: "List, show and remove the named volumes of gbuild run"}
	c.AddCommand(
		volumeVerb(a, "ls", "List volumes with size and last use", "  gbuild volume ls\n  gbuild volume ls -q", cobra.NoArgs, (*app).listVolumes),
		volumeVerb(a, "inspect VOLUME [VOLUME...]", "Print where volumes are, as JSON", "  gbuild volume inspect data", cobra.MinimumNArgs(1), (*app).inspectVolumes),
		volumeVerb(a, "rm VOLUME [VOLUME...]", "Remove volumes, with what is in them", "  gbuild volume rm data", cobra.MinimumNArgs(1), (*app).removeVolumes))
	return c
}

func volumeVerb(a *app, use, short, example string, args cobra.PositionalArgs, do func(*app, context.Context, bool, []string) error) *cobra.Command {
	var quiet bool
	c := &cobra.Command{Use: use, Short: short, Example: example, Args: args,
		RunE: func(c *cobra.Command, names []string) error {
			return a.mustEnter(c.Context(), func(ctx context.Context) error { return do(a, ctx, quiet, names) })
		}}
	if c.Name() == "ls" {
		c.Aliases = []string{"list"}
		c.Flags().BoolVarP(&quiet, "quiet", "q", false, "names only")
	}
	return c
}

func (a *app) listVolumes(_ context.Context, quiet bool, _ []string) error {
	list, err := a.volumes()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 1, 3, ' ', 0)
	if !quiet {
		fmt.Fprintln(w, "VOLUME NAME\tSIZE\tLAST USED")
	}
	for _, v := range list {
		if quiet {
			fmt.Fprintln(w, v.ID)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s ago\n", v.ID, units.HumanSizeWithPrecision(float64(v.Size), 3), units.HumanDuration(time.Since(v.LastUsed)))
	}
	return w.Flush()
}

func (a *app) volumes() ([]pipcache.Info, error) {
	volumes, err := a.openVolumes()
	if err != nil {
		return nil, err
	}
	return volumes.List()
}

// findVolumes finds volumes by their whole names: the start of one must not remove another.
func (a *app) findVolumes(names []string) (found []pipcache.Info, err error) {
	list, err := a.volumes()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		i := slices.IndexFunc(list, func(v pipcache.Info) bool { return v.ID == name })
		if i < 0 {
			return nil, hint.Errorf("gbuild volume ls lists those that there are", "no such volume: %s", name)
		}
		found = append(found, list[i])
	}
	return found, nil
}

func (a *app) inspectVolumes(_ context.Context, _ bool, names []string) error {
	type volume struct{ Name, Driver, Mountpoint string }
	found, err := a.findVolumes(names)
	if err != nil {
		return err
	}
	all := []volume{}
	for _, v := range found {
		all = append(all, volume{v.ID, "local", v.Dir})
	}
	return a.printJSON(all, "    ")
}

func (a *app) removeVolumes(ctx context.Context, _ bool, names []string) error {
	found, err := a.findVolumes(names)
	if err != nil {
		return err
	}
	volumes, err := a.openVolumes()
	if err != nil {
		return err
	}
	for _, v := range found {
		_, err := volumes.Remove(ctx, v.Key)
		var busy *pipcache.BusyError
		if errors.As(err, &busy) {
			return hint.Errorf("gbuild ps lists the containers: stop those that use it", "volume %s is in use by %s", v.ID, busy.Holder)
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, v.ID)
	}
	return nil
}
