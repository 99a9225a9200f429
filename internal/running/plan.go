// This file owns what is kept of a container so that it can be started again: the command line with all that was read for it, and
// what the image said. A detached container that is not to be forgotten stays, with its files.

package running

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// commandLine is that of a container, as the first process had it.
type commandLine struct {
	Handed    cli.Handed
	Dir       string   // what relative paths begin at
	Names     []string // variables of the caller that count
	Variables []string // NAME=value of those that were set
	Pipes     []string // files that can be read but once; what they said comes to no disk, so there is no further start
}

// keepPlan keeps it.
func keepPlan(a *cli.App, o *Options, c *container.Container) error {
	p := commandLine{Handed: a.Given(), Names: []string{"GBUILD_RUN_CACHES"}}
	if len(p.Handed.Streams) > 0 {
		return c.Keep(container.Plan, commandLine{Pipes: slices.Sorted(maps.Keys(p.Handed.Streams))})
	}
	p.Dir, _ = os.Getwd() // where it cannot be found, the one that starts the container again has to do
	for _, e := range o.Process.Env {
		if name, _, given := strings.Cut(e, "="); !given {
			p.Names = append(p.Names, name)
		}
	}
	for _, name := range p.Names {
		if value, set := a.Lookup(name); set {
			p.Variables = append(p.Variables, name+"="+value)
		}
	}
	return c.Keep(container.Plan, p)
}

// planOf reads the plan of a container, or says why it cannot be started again.
func planOf(c *container.Container) (p commandLine, err error) {
	if err := c.Kept(container.Plan, &p); err != nil {
		return p, err
	}
	if len(p.Pipes) > 0 {
		return p, hint.Errorf("run a new one", "container %s cannot be started again: what %s said is kept on no disk", c.Name, strings.Join(p.Pipes, " and "))
	}
	return p, nil
}

// environ is the environment of a further start: the variables that count are what they were.
func (p *commandLine) environ(now []string) []string {
	kept := slices.DeleteFunc(slices.Clone(now), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return slices.Contains(p.Names, name)
	})
	return append(kept, p.Variables...)
}

// kept is what the image said at the first start. Its name may mean another one by now.
type kept struct {
	Config *v1.ConfigFile
	Marked bool // how the owners of the container's files are kept: see rootfs.Marked
}

// ImageOf is what the image of a container said that stays.
func ImageOf(c *container.Container) (*v1.ConfigFile, error) {
	var k kept
	err := c.Kept(container.Image, &k)
	return k.Config, err
}

// StateOf is what the files of a container that stays stand on.
func StateOf(c *container.Container) (key layers.Key, err error) {
	return key, key.UnmarshalText([]byte(c.State))
}

// image finds the image, and the state of its files; for a container that was started before, those of the first start.
func (l *launch) image(ctx context.Context, store *layers.Store) (*v1.ConfigFile, layers.Key, error) {
	c := l.container
	if c.State != "" {
		var k kept
		if err := c.Kept(container.Image, &k); err != nil {
			return nil, layers.Key{}, err
		}
		if k.Marked != rootfs.Marked() {
			return nil, layers.Key{}, hint.Errorf("start it in the way in which it was made", "container %s: whom its files belong to is kept in a way that is not the one here: with all ids, or with one", c.Name)
		}
		key, err := StateOf(c)
		return k.Config, key, err
	}
	img, err := l.options.Image.find(ctx, l.app, store)
	if err != nil {
		return nil, layers.Key{}, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, layers.Key{}, err
	}
	id, err := img.ConfigName()
	if err != nil {
		return nil, layers.Key{}, err
	}
	c.ImageID = id.String()
	key, err := stateOf(ctx, store, img)
	if err != nil || !l.stays() {
		return config, key, err
	}
	c.State = key.String()
	return config, key, c.Keep(container.Image, kept{config, rootfs.Marked()})
}

// stays says whether the container can be started again.
func (l *launch) stays() bool { return l.container.Detached && !l.container.Forget }

// OpenFiles opens the files of a container that is not running, which must end with Discard.
func OpenFiles(ctx context.Context, store *layers.Store, c *container.Container) (*layers.Draft, error) {
	key, err := StateOf(c)
	if err != nil {
		return nil, hint.Errorf("only those stay that were started with -d, and without --rm", "container %s has no files", c.Name)
	}
	d, err := store.Draft(ctx, key)
	if err != nil {
		return nil, err
	}
	return d, d.KeepIn(c.FilesDir())
}
