// This file owns the image that a container begins with, and the writable files over it. An image that this gbuild has built
// is a state of the store, and nothing has to be unpacked.

package main

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/bases"
	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/progress"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/layers"
)

// runImage is the room of the image: what it is called, and where it may come from.
type runImage struct{ name, pull, platform string }

// add registers the flags. The name of the image is no flag, but the first argument.
func (i *runImage) add(f *pflag.FlagSet) {
	f.StringVar(&i.pull, "pull", "missing", "always, missing or never")
	f.StringVar(&i.platform, "platform", "", "platform of the image, such as linux/arm64")
}

// parse checks --pull. The platform is read when the image is looked for.
func (i *runImage) parse() error { return cli.OneOf("--pull", i.pull, "always", "missing", "never") }

// find returns the image, which is fetched where it is not here or --pull says so. A local image is preferred to one of a
// registry: --pull missing asks nobody where there is one.
func (i *runImage) find(ctx context.Context, a *cli.App, store *layers.Store) (v1.Image, error) {
	var platform v1.Platform
	if i.platform != "" {
		p, err := v1.ParsePlatform(i.platform)
		if err != nil {
			return nil, cli.Usagef("--platform %s: %w", i.platform, err)
		}
		platform = *p
	}
	if img, err := bases.Local(store, i.name); err == nil && i.pull != "always" {
		return img, bases.CheckPlatform(img, i.name, platform)
	}
	// A layout or an archive is a file of this host, so --pull never allows it.
	if ref, err := image.ParseRef(i.name); i.pull == "never" && (err != nil || ref.Kind == image.KindRegistry) {
		return nil, hint.Errorf("gbuild images lists those that there are", "no local image %s, and --pull never", i.name)
	}
	show := cli.NewDisplay(a, progress.Quiet)
	f := &bases.Finder{Store: store, Options: a.Registries.Options(), Pull: i.pull == "always", Notice: show.Notice}
	return f.Find(ctx, i.name, platform)
}

// openDraft makes a writable state over the image; an image that was built here is already unpacked.
func openDraft(ctx context.Context, store *layers.Store, img v1.Image) (*layers.Draft, error) {
	key, err := build.StateOf(store, img)
	if err != nil || !store.Has(key) {
		list, err := img.Layers()
		if err != nil {
			return nil, err
		}
		if key, err = store.Unpack(ctx, list, func(int64, int64) {}); err != nil {
			return nil, fmt.Errorf("unpacking the image: %w", err)
		}
	}
	return store.Draft(ctx, key)
}
