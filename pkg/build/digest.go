// This file owns the digests of what a step takes from elsewhere, which are part of its recipe.

package build

import (
	"context"
	"fmt"

	"github.com/gbuild/gbuild/internal/recipe"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
)

// recordDigest is the kind of the records that keep the digest of what a selector shows of a state. A state never
// changes, so that a digest holds for ever, and a warm build reads no file of a stage.
const recordDigest = "digest"

// copyDigest is the digest of what a COPY or ADD selects.
func (w *work) copyDigest(ctx context.Context, s *dockerfile.Copy) ([32]byte, error) {
	if s.From.Kind == dockerfile.FromContext {
		tree, err := w.build.sources.tree(ctx, s.From)
		if err != nil {
			return [32]byte{}, err
		}
		return files.DigestCopy(ctx, tree, s, w.build.sources.fetcher)
	}
	return w.remembered(ctx, s.From, selector(s), func(t files.Tree) ([32]byte, error) { return files.DigestCopy(ctx, t, s, w.build.sources.fetcher) })
}

// remembered returns the digest of a selection of a state, from its record, from a shared cache, or computed.
func (w *work) remembered(ctx context.Context, src dockerfile.Source, selection []string, compute func(files.Tree) ([32]byte, error)) (sum [32]byte, err error) {
	state, err := w.build.stages.expected(ctx, w.guessing, src)
	if err != nil {
		return sum, err
	}
	if sum, ok := w.recalled(ctx, state, selection); ok {
		return sum, nil
	}
	if w.guessing {
		return sum, errUnknown
	}
	t, err := w.build.sources.tree(ctx, src)
	if err != nil {
		return sum, err
	}
	if state, err = w.build.sources.state(ctx, src); err != nil {
		return sum, err
	}
	if sum, err = compute(t); err != nil {
		return sum, err
	}
	record := selectionKey(state, selection)
	w.build.caches.writeFact(ctx, sharedDigest, selectionKey(w.build.names.public(state), selection), sum)
	return sum, w.build.store.Remember(recordDigest, record, sum[:])
}

// selectionKey names the record of what a selection of a state is.
func selectionKey(state layers.Key, selection []string) layers.Key {
	name := recipe.New("selection", state)
	name.List(selection)
	return name.Key()
}

// recalled is the digest that is known of a selection. What a shared cache says of it is good to look up results by: what
// is made now is named by what is there.
func (w *work) recalled(ctx context.Context, state layers.Key, selection []string) (sum [32]byte, ok bool) {
	public := selectionKey(w.build.names.public(state), selection)
	if v, ok := w.build.store.Recall(recordDigest, selectionKey(state, selection)); ok && len(v) == len(sum) {
		w.build.caches.writeFact(ctx, sharedDigest, public, layers.Key(v))
		return [32]byte(v), true
	}
	if w.in.settled {
		return sum, false
	}
	if e := w.build.caches.entry(sharedDigest, public); e != nil {
		w.in.claimed = true
		return e.Result, true
	}
	return sum, false
}

// selector is what of a Copy decides which files it takes.
func selector(s *dockerfile.Copy) []string {
	fields := []string{fmt.Sprint(s.Add, s.Parents), optional(s.Unpack), s.Checksum, fmt.Sprint(len(s.Sources))}
	fields = append(fields, s.Sources...)
	fields = append(fields, s.Exclude...)
	fields = append(fields, "inline")
	for _, f := range s.Inline {
		fields = append(fields, f.Path, string(f.Data))
	}
	return fields
}

// digestMounts finds out, for each mount, the digest of what it shows, the state and the path in it: sums, sources and
// paths of w.
func (w *work) digestMounts(ctx context.Context, s *dockerfile.Run) (err error) {
	w.in.sums, w.in.states, w.in.paths = make([][32]byte, len(s.Mounts)), make([]layers.Key, len(s.Mounts)), make([]string, len(s.Mounts))
	for i := range s.Mounts {
		m := &s.Mounts[i]
		w.in.paths[i] = m.Source
		switch {
		case m.Type == dockerfile.MountBind && isContext(m):
			name, _ := contextName(m)
			if w.in.paths[i], err = w.build.sources.realPath(ctx, name, m.Source); err != nil {
				break
			}
			w.in.states[i], err = w.build.sources.snapshotOf(ctx, name, w.in.paths[i])
			w.in.sums[i] = w.in.states[i]
		case m.Type == dockerfile.MountBind:
			if w.in.states[i], err = w.build.stages.expected(ctx, w.guessing, *m.From); err == nil {
				w.in.sums[i], err = w.remembered(ctx, *m.From, []string{"bind", m.Source}, func(t files.Tree) ([32]byte, error) {
					return files.DigestPath(ctx, t, m.Source)
				})
			}
		case m.From != nil: // the seed of a cache
			w.in.states[i], err = w.build.stages.expected(ctx, w.guessing, *m.From)
			w.in.sums[i] = w.in.states[i]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isContext says whether a bind mount shows a context.
func isContext(m *dockerfile.Mount) bool {
	_, ok := contextName(m)
	return ok
}
