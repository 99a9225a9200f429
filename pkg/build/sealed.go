// This file owns states whose files are not made: what a process without a namespace reads of them comes out of their layers, and
// what its steps make is written as layers at once. So it needs no owner, no mount, and nothing of the file system of the store.

package build

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/gbuild/gbuild/internal/tasks"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// sealed shows states by the indexes of their layers, and reads single files out of these.
type sealed struct {
	build   *parts
	parcels *layers.Parcels
	opened  tasks.Once[*layers.Parcel, rootfs.Index]
}

// newSealed reads nothing yet.
func newSealed(outer context.Context, p *parts, t *tasks.Group) *sealed {
	s := &sealed{build: p, parcels: p.store.Parcels(outer), opened: tasks.Once[*layers.Parcel, rootfs.Index]{Tasks: t}}
	s.parcels.Expected = s.expected
	s.parcels.Reading = func(l v1.Layer) (func(done, total int64), func(error)) {
		name := "a layer"
		if digest, err := l.Digest(); err == nil {
			name = digest.String()
		}
		n := p.events.begin("[internal] read " + name)
		return func(done, total int64) { p.events.progress(n, done, total) }, func(err error) {
			if err == nil {
				p.events.done(n)
			}
		}
	}
	return s
}

func (s *sealed) close() { _ = s.parcels.Close() } // what is left is removed when the store is opened next

// view shows the files of a state.
func (s *sealed) view(ctx context.Context, k layers.Key) (*rootfs.View, error) {
	all, err := s.build.indexes.levels(ctx, k)
	if err != nil {
		return nil, err
	}
	indexes := make([]rootfs.Index, len(all))
	done := make([]chan struct{}, len(all))
	for i := range all {
		done[i] = make(chan struct{})
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2) // each reads, decompresses and hashes side by side
	for i, l := range slices.Backward(all) {
		// Those below were started before, so that none waits for one that does not run.
		group.Go(func() (err error) {
			indexes[i], err = s.index(ctx, l, func() (*rootfs.View, error) {
				for _, below := range done[i+1:] {
					select {
					case <-below:
					case <-ctx.Done():
						return nil, context.Cause(ctx)
					}
				}
				return rootfs.IndexView(indexes[i+1:]...), nil
			})
			if err == nil {
				close(done[i])
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return rootfs.IndexView(indexes...), nil
}

// index returns the index of a snapshot, by which its files can be read: one that was kept, or a new one of its layers.
func (s *sealed) index(ctx context.Context, l level, lower func() (*rootfs.View, error)) (rootfs.Index, error) {
	p, err := s.parcels.Of(l.layers)
	if err != nil {
		return rootfs.Index{}, err
	}
	return s.opened.Get(ctx, p, func() (rootfs.Index, error) { return p.Index(ctx, lower) })
}

// layers lists the layers that a state is made of, the lowest first.
func (s *sealed) layers(ctx context.Context, k layers.Key) (flat []v1.Layer, err error) {
	all, err := s.build.indexes.levels(ctx, k)
	for _, l := range slices.Backward(all) {
		flat = append(flat, l.layers...)
	}
	return flat, err
}

// expected says which files of the layers of images some COPY is likely to read: they are taken while the layers are read for
// their indexes, so that none is read twice.
func (s *sealed) expected(p *layers.Parcel, name string) bool {
	if len(p.Layers()) != 1 {
		return false
	}
	id, err := p.Layers()[0].DiffID()
	if err != nil {
		return false
	}
	for _, source := range s.build.resolver.copiedFrom(id) {
		if rest, below := strings.CutPrefix(name, source); below && (rest == "" || source == "/" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// copiedFrom lists what COPY takes of the stages and images that have a layer: paths, up to the first wildcard.
func (r *resolver) copiedFrom(id v1.Hash) (paths []string) {
	for _, st := range r.stages {
		for _, step := range st.steps {
			c, ok := step.(*dockerfile.Copy)
			if !ok || !r.begins(c.From, id) {
				continue
			}
			for _, source := range c.Sources {
				fixed, _, _ := strings.Cut(source, "/./")
				if i := strings.IndexAny(fixed, "*?["); i >= 0 {
					fixed = fixed[:strings.LastIndexByte("/"+fixed[:i], '/')]
				}
				paths = append(paths, path.Clean("/"+fixed))
			}
		}
	}
	return paths
}

// begins says whether a layer is one of the image that a source is, or begins with.
func (r *resolver) begins(src dockerfile.Source, id v1.Hash) bool {
	var of *base
	switch src.Kind {
	case dockerfile.FromImage:
		of, _ = r.bases.image(src)
	case dockerfile.FromStage:
		st := r.stages[src.Stage]
		for st != nil && st.parent != nil {
			st = st.parent
		}
		if st != nil {
			of = st.base
		}
	}
	return of != nil && slices.Contains(of.config.RootFS.DiffIDs, id)
}

// seal makes the state of a step as its layer. It returns the recipe that the result is of.
func (w *work) seal(ctx context.Context, nonce layers.Key) (recipe layers.Key, err error) {
	recipe = w.recipes.own
	if run := w.build.resolver.runOver(w.stage, w.step); run != nil {
		return recipe, needsNamespace(w.build.req.Plan, run)
	}
	if isLinked(w.step) {
		return recipe, w.sealOver(ctx, again(recipe, nonce), rootfs.NewView())
	}
	// What a shared cache says of the files below spares to read them.
	if lower, foreign := w.foreignLower(ctx); foreign {
		err = w.sealOver(ctx, again(w.recipes.foreign, nonce), lower)
		if !errors.Is(err, rootfs.ErrNoContent) {
			return w.recipes.foreign, err
		}
	}
	lower, err := w.build.sealed.view(ctx, w.parent)
	if err != nil {
		return recipe, err
	}
	return recipe, w.sealOver(ctx, again(recipe, nonce), lower)
}

// foreignLower shows what the step stands on by indexes of which a shared cache has some.
func (w *work) foreignLower(ctx context.Context) (v *rootfs.View, foreign bool) {
	if len(w.build.req.CacheFrom) == 0 {
		return nil, false
	}
	v, foreign, err := w.build.indexes.view(ctx, w.parent)
	return v, foreign && err == nil
}

// sealOver writes the layer of a step over the files that lower shows.
func (w *work) sealOver(ctx context.Context, out layers.Key, lower *rootfs.View) error {
	o := w.packOptions()
	o.Index, o.Whole = true, true
	pack := func(fill func(*rootfs.LayerWriter) error) error {
		return w.build.store.Pack(ctx, out, w.parent, lower, o, func(l *rootfs.LayerWriter) error {
			w.begin()
			return fill(l)
		})
	}
	s, copies := w.step.(*dockerfile.Copy)
	if !copies {
		fill, err := w.filler(ctx)
		if err != nil {
			return err
		}
		return pack(fill)
	}
	if s.From.Kind == dockerfile.FromContext { // what is written while it is listed takes no memory, however many files there are
		fill, err := w.filler(ctx)
		if err == nil {
			err = pack(fill)
		}
		if !errors.Is(err, files.ErrNotPackable) {
			return err
		}
	}
	tree, err := w.build.sources.tree(ctx, s.From)
	if err != nil {
		return err
	}
	return pack(func(l *rootfs.LayerWriter) error {
		return files.PackCopy(ctx, l, s, tree, w.build.sources.fetcher, w.build.sealed.parcels.Spool())
	})
}

// runOver returns the step, if it is a RUN, or a RUN that stands on it: what it stands on was just found to be new, so it has to
// be executed.
func (r *resolver) runOver(st *stage, s dockerfile.Step) dockerfile.Step {
	after := st.steps[slices.Index(st.steps, s):]
	if i := slices.IndexFunc(after, func(s dockerfile.Step) bool { return !bringsFiles(s) }); i >= 0 {
		return after[i]
	}
	for _, child := range r.stages {
		if child.parent == st && len(child.steps) > 0 {
			if run := r.runOver(child, child.steps[0]); run != nil {
				return run
			}
		}
	}
	return nil
}

// context makes the state of a context as a layer.
func (s *sealed) context(ctx context.Context, k layers.Key, c *files.Context, name string) error {
	o := s.build.states.layering.options(s.build.states.layering.extra)
	o.Index, o.Whole = true, true
	return s.build.store.Pack(ctx, k, layers.Key{}, rootfs.NewView(), o, func(l *rootfs.LayerWriter) error {
		return files.PackPath(ctx, l, c.Tree(), name)
	})
}

// squash makes one layer of all that a state has over a base.
func (s *sealed) squash(ctx context.Context, k, base layers.Key, o layers.LayerOptions) (v1.Layer, error) {
	all, err := s.build.indexes.levels(ctx, k)
	if err != nil {
		return nil, err
	}
	var over []v1.Layer
	for _, l := range all {
		if l.key == base {
			break
		}
		over = append(slices.Clone(l.layers), over...)
	}
	lower, err := s.view(ctx, base)
	if err != nil {
		return nil, err
	}
	return s.parcels.Squash(ctx, k, base, over, lower, o)
}
