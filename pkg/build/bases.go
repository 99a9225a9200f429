// This file owns the images that files or a config come from.
// An image is asked for once in a build, by its name and platform; its layers when they are needed.

package build

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/tasks"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// base is an image of which the manifest and the config are here.
type base struct {
	ref    string
	image  v1.Image
	config *v1.ConfigFile
	layers []v1.Layer
	key    layers.Key // the state that its files are

	startInterval time.Duration // a part of the health check that v1.HealthConfig has no field for
}

// bases finds images, each once, and unpacks those whose files are read.
type bases struct {
	store  *layers.Store // nil where only configs are wanted
	find   func(ctx context.Context, ref string, p v1.Platform) (v1.Image, error)
	outer  context.Context // the context of the caller: layers are read after the build's own has ended
	stages string          // the names of the plan's stages, for messages
	names  *names
	events *events

	unpacked tasks.Once[*base, layers.Key]

	mu     sync.Mutex
	images map[string]*base
}

// image fetches the manifest and config of an image; no layer.
func (b *bases) image(src dockerfile.Source) (*base, error) {
	name := src.Name + "\x00" + src.Platform.String()
	b.mu.Lock()
	known := b.images[name]
	b.mu.Unlock()
	if known != nil {
		return known, nil
	}
	n := b.events.begin("[internal] load metadata for " + src.Name)
	found, err := b.fetch(src)
	if err != nil {
		return nil, b.events.fail(n, err)
	}
	b.events.done(n)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.images == nil {
		b.images = map[string]*base{}
	}
	b.images[name] = found
	return found, nil
}

// fetch reads the manifest and the config. What a registry says of an image need not fit together.
func (b *bases) fetch(src dockerfile.Source) (*base, error) {
	img, err := b.find(b.outer, src.Name, src.Platform)
	if err != nil {
		if !strings.ContainsAny(src.Name, "./:") && b.stages != "" {
			err = hint.Wrap(err, fmt.Sprintf("%s is no stage that stands before this line (there are %s), so it was taken for an image", src.Name, b.stages))
		}
		return nil, err
	}
	found := &base{ref: src.Name, image: img}
	if found.config, err = img.ConfigFile(); err != nil {
		return nil, fmt.Errorf("reading config of %s: %w", src.Name, err)
	}
	raw, err := img.RawConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading config of %s: %w", src.Name, err)
	}
	found.startInterval = dockerfile.StartInterval(raw)
	if found.layers, err = img.Layers(); err != nil {
		return nil, fmt.Errorf("reading manifest of %s: %w", src.Name, err)
	}
	if len(found.layers) != len(found.config.RootFS.DiffIDs) {
		return nil, fmt.Errorf("%s is malformed: %d layers but %d diff ids", src.Name, len(found.layers), len(found.config.RootFS.DiffIDs))
	}
	if b.store == nil {
		return found, nil
	}
	return found, b.locate(found)
}

// locate says which state the files of an image are, and where its layers are.
func (b *bases) locate(found *base) (err error) {
	for i, l := range found.layers {
		found.layers[i] = b.store.Near(l)
	}
	if found.key, err = StateOf(b.store, found.image); err != nil {
		return err
	}
	if chain := chainOf(found.config); chain != found.key { // it was built here; others know it by its layers
		b.names.identify(found.key, identity{recipe: chain})
	}
	return nil
}

// of returns the image whose files a state is; nil where it is none.
func (b *bases) of(k layers.Key) *base {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, found := range b.images {
		if found.key == k {
			return found
		}
	}
	return nil
}

// unpack makes the files of an image a state of the store.
func (b *bases) unpack(ctx context.Context, of *base) error {
	_, err := b.unpacked.Get(ctx, of, func() (layers.Key, error) {
		n := b.events.begin("[internal] unpack " + of.ref)
		key, err := b.store.Unpack(ctx, of.layers, func(done, total int64) { b.events.progress(n, done, total) })
		if err != nil {
			return key, b.events.fail(n, fmt.Errorf("unpacking %s: %w", of.ref, err))
		}
		b.events.done(n)
		return key, nil
	})
	return err
}

// stageNames lists the stages that have a name.
func stageNames(p *dockerfile.Plan) string {
	var names []string
	for _, s := range p.Stages {
		if s.Name != "" {
			names = append(names, s.Name)
		}
	}
	return strings.Join(names, ", ")
}
