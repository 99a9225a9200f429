// This file owns the image that a container begins with, and the writable files over it. An image that this gbuild has built
// is a state of the store, and nothing has to be unpacked.

package running

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

// Image is the part about the image: what it is called, and where it may come from.
type Image struct{ Name, Pull, Platform string }

// Flags registers the flags. The name of the image is no flag, but the first argument.
func (i *Image) Flags(f *pflag.FlagSet) {
	f.StringVar(&i.Pull, "pull", i.Pull, "always, missing or never")
	f.StringVar(&i.Platform, "platform", "", "platform of the image, such as linux/arm64")
}

// parse checks --pull. The platform is read when the image is looked for.
func (i *Image) parse() error { return cli.OneOf("--pull", i.Pull, "always", "missing", "never") }

// find returns the image, which is fetched where it is not here or --pull says so. A local image is preferred to one of a
// registry: --pull missing asks nobody where there is one.
func (i *Image) find(ctx context.Context, a *cli.App, store *layers.Store) (v1.Image, error) {
	var platform v1.Platform
	if i.Platform != "" {
		p, err := v1.ParsePlatform(i.Platform)
		if err != nil {
			return nil, cli.Usagef("--platform %s: %w", i.Platform, err)
		}
		platform = *p
	}
	if img, err := bases.Local(store, i.Name); err == nil && i.Pull != "always" {
		return img, bases.CheckPlatform(img, i.Name, platform)
	}
	// A layout or an archive is a file of this host, so --pull never allows it.
	if ref, err := image.ParseRef(i.Name); i.Pull == "never" && (err != nil || ref.Kind == image.KindRegistry) {
		return nil, hint.Errorf("gbuild images lists those that there are", "no local image %s, and --pull never", i.Name)
	}
	show := cli.NewDisplay(a, progress.Quiet)
	f := &bases.Finder{Store: store, Options: a.Registries.Options(), Pull: i.Pull == "always", Notice: show.Notice}
	return f.Find(ctx, i.Name, platform)
}

// stateOf is the state of the image's files, which are unpacked; those of an image that was built here are already.
func stateOf(ctx context.Context, store *layers.Store, img v1.Image) (layers.Key, error) {
	key, err := build.StateOf(store, img)
	if err == nil && store.Has(key) {
		return key, nil
	}
	list, err := img.Layers()
	if err != nil {
		return key, err
	}
	if key, err = store.Unpack(ctx, list, func(int64, int64) {}); err != nil {
		return key, fmt.Errorf("unpacking the image: %w", err)
	}
	return key, nil
}
