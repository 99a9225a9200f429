// This file owns the states of one build: how each was made, and that its files are here when they are read.
// Files are brought here only when something reads them: the base of an image may stay in its registry.

package build

import (
	"context"
	"errors"
	"os"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/tasks"
	"github.com/gbuild/gbuild/pkg/build/sharedcache"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// origin is how a state of this build is made: its layers are the same whatever is below where a COPY --link made it.
type origin struct {
	parent layers.Key
	linked bool // a COPY --link made it
	copied bool // a COPY made it, linked or not
	brings bool // a step made it that brings files, and executes nothing
	known  bool
}

// imported is a state of which the layers are known, here or in a shared cache, but whose files are not unpacked.
type imported struct {
	parent layers.Key
	layers []v1.Layer
	title  string
	cache  string // its name; empty: the layers are here
}

// states knows where the files of states come from, and brings them here.
type states struct {
	store    *layers.Store
	bases    *bases
	process  *process
	events   *events
	layering *layerPlan
	sealed   *sealed // shows the states of a process without a namespace

	restored tasks.Once[layers.Key, struct{}]

	mu      sync.Mutex
	imports map[layers.Key]*imported
	origins map[layers.Key]origin
}

// newStates knows of no state yet.
func newStates(b *bases, p *process, l *layerPlan, t *tasks.Group) *states {
	return &states{store: b.store, bases: b, process: p, events: b.events, layering: l, restored: tasks.Once[layers.Key, struct{}]{Tasks: t},
		imports: map[layers.Key]*imported{}, origins: map[layers.Key]origin{}}
}

// note remembers which step made a state, and over what.
func (s *states) note(k, parent layers.Key, step dockerfile.Step) {
	_, copied := step.(*dockerfile.Copy)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.origins[k] = origin{parent: parent, linked: isLinked(step), copied: copied, brings: bringsFiles(step), known: true}
}

// originOf is how a state was made; it is not known of one that no step of this build led to.
func (s *states) originOf(k layers.Key) origin {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.origins[k]
}

// keepImport notes that the layers of a state are known.
func (s *states) keepImport(k layers.Key, im *imported) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.imports[k] = im
}

// importOf returns the layers of a state of which that was noted; nil of all others.
func (s *states) importOf(k layers.Key) *imported {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.imports[k]
}

// ensure brings the files of a state here: it unpacks the image that the state is, or its last layer, or fetches it from a
// shared cache.
func (s *states) ensure(ctx context.Context, k layers.Key) error {
	if s.store.Unpacked(k) && (s.process.entered || os.Geteuid() == 0) { // files of subordinate ids are seen in a namespace only
		return nil
	}
	if !s.process.entered {
		return ErrNeedsNamespace
	}
	if s.store.Has(k) {
		return s.store.Expand(ctx, k)
	}
	if im := s.importOf(k); im != nil {
		return s.restore(ctx, k, im)
	}
	if b := s.bases.of(k); b != nil {
		return s.bases.unpack(ctx, b)
	}
	return nil
}

// bring is ensure for whoever reads the files after the build: where they cannot be here, it returns the layers that they are in.
func (s *states) bring(ctx context.Context, k layers.Key) ([]v1.Layer, error) {
	if s.process.entered {
		return nil, s.ensure(ctx, k)
	}
	return s.sealed.layers(ctx, k)
}

// view shows the files of a state, which are brought here first, or are read out of its layers.
func (s *states) view(ctx context.Context, k layers.Key) (*rootfs.View, error) {
	if !s.process.entered {
		return s.sealed.view(ctx, k)
	}
	if err := s.ensure(ctx, k); err != nil {
		return nil, err
	}
	return s.store.View(k)
}

// restore brings the files of an imported state here.
func (s *states) restore(ctx context.Context, k layers.Key, im *imported) error {
	if err := s.ensure(ctx, im.parent); err != nil {
		return err
	}
	_, err := s.restored.Get(ctx, k, func() (none struct{}, err error) {
		doing := "[internal] unpack "
		if im.cache != "" {
			doing = "[internal] fetch from the cache: "
		}
		n := s.events.begin(doing + im.title)
		err = s.store.Restore(ctx, im.parent, k, im.layers, s.layering.options(s.layering.extra), func(done, total int64) {
			s.events.progress(n, done, total)
		})
		if err != nil {
			return none, s.events.fail(n, cacheFailure(err, im.cache))
		}
		s.events.done(n)
		return none, nil
	})
	return err
}

// cacheFailure blames the cache: whatever went wrong with its layers, the build can be done without them.
func cacheFailure(err error, cache string) error {
	var known *sharedcache.Error
	if cache == "" || errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	return &sharedcache.Error{Cache: cache, Err: err}
}
