// This file owns where steps take files from: contexts, images, and the states of stages.
// A source is named without bringing its files here; they come when a tree of them is asked for.

package build

import (
	"context"

	"github.com/gbuild/gbuild/internal/recipe"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/remote"
)

// sources finds the state, or the files, that a source of a step is.
type sources struct {
	store    *layers.Store
	contexts *contexts
	bases    *bases
	states   *states
	events   *events
	fetcher  remote.Fetcher // fetches the URLs and repositories that ADD names

	// stages returns the state after the last step of a stage, and runs its steps if they have not run.
	stages func(context.Context, *dockerfile.Stage) (layers.Key, error)
}

// state returns the key of what src holds. The stage or image is not unpacked for it.
func (s *sources) state(ctx context.Context, src dockerfile.Source) (layers.Key, error) {
	switch src.Kind {
	case dockerfile.FromStage:
		return s.stages(ctx, src.Stage)
	case dockerfile.FromImage:
		b, err := s.bases.image(src)
		if err != nil {
			return layers.Key{}, err
		}
		return b.key, nil
	case dockerfile.FromContext:
		return s.contextKey(ctx, src.Name)
	}
	return layers.Key{}, nil
}

// tree opens the files of a source.
func (s *sources) tree(ctx context.Context, src dockerfile.Source) (files.Tree, error) {
	if src.Kind == dockerfile.FromContext {
		c, err := s.contexts.get(ctx, src.Name)
		if err != nil {
			return nil, err
		}
		return c.Tree(), nil
	}
	key, err := s.state(ctx, src)
	if err != nil {
		return nil, err
	}
	view, err := s.states.view(ctx, key)
	if err != nil {
		return nil, err
	}
	return files.ViewTree(view), nil
}

// realPath follows the symlinks of a path in a context.
func (s *sources) realPath(ctx context.Context, name, path string) (string, error) {
	c, err := s.contexts.get(ctx, name)
	if err != nil {
		return "", err
	}
	return files.RealPath(c.Tree(), path)
}

// contextKey is the state that holds a whole context.
func (s *sources) contextKey(ctx context.Context, name string) (layers.Key, error) {
	key, err := s.snapshotOf(ctx, name, "/")
	if err != nil {
		return key, err
	}
	return key, s.materialise(ctx, key, name, "/")
}

// snapshotOf names the state that has the path of a context, and nothing else: by content, so that it serves all steps
// and builds. It is made (materialise) only when something runs over it.
func (s *sources) snapshotOf(ctx context.Context, name, path string) (key layers.Key, err error) {
	c, err := s.contexts.get(ctx, name)
	if err != nil {
		return key, err
	}
	sum, err := files.DigestPath(ctx, c.Tree(), path)
	if err != nil {
		return key, err
	}
	k := recipe.New("context", layers.Key{})
	k.Text(path)
	k.Bytes(sum[:])
	return k.Key(), nil
}

// materialise makes the state that snapshotOf named, where it is not stored.
func (s *sources) materialise(ctx context.Context, key layers.Key, name, path string) error {
	if !s.states.process.entered {
		s.states.note(key, layers.Key{}, nil)
	}
	if s.store.Has(key) {
		return nil
	}
	c, err := s.contexts.get(ctx, name)
	if err != nil {
		return err
	}
	if !s.states.process.entered {
		return s.states.sealed.context(ctx, key, c, path)
	}
	d, err := s.store.Draft(ctx, layers.Key{})
	if err != nil {
		return err
	}
	defer d.Discard()
	if err := files.CopyPath(ctx, d, c.Tree(), path, func(text string) { s.events.notice(0, text) }); err != nil {
		return err
	}
	return d.Commit(ctx, key)
}
