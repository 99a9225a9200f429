package build

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/remote"
)

// recordDigest is the kind of the records that keep the digest of what a selector shows of a state. A state never
// changes, so that a digest holds for ever, and a warm build reads no file of a stage.
const recordDigest = "digest"

// state returns the key of what src holds. The stage or image is not unpacked for it.
func (r *run) state(ctx context.Context, src dockerfile.Source) (layers.Key, error) {
	switch src.Kind {
	case dockerfile.FromStage:
		return r.stageKey(ctx, r.resolved[src.Stage])
	case dockerfile.FromImage:
		b, err := r.image(ctx, src)
		if err != nil {
			return layers.Key{}, err
		}
		return b.key, nil
	case dockerfile.FromContext:
		return r.contextKey(ctx, src.Name)
	}
	return layers.Key{}, nil
}

// context opens the build context (no name) or a named one, once.
func (r *run) context(ctx context.Context, name string) (*files.Context, error) {
	if name == "" {
		if r.req.Context == nil {
			return nil, fmt.Errorf("this build has no context")
		}
		return r.req.Context, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.contexts[name]; c != nil {
		return c, nil
	}
	if r.req.Named == nil {
		return nil, fmt.Errorf("context %s is not known", name)
	}
	c, err := r.req.Named(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("opening build context %s: %w", name, err)
	}
	r.contexts[name] = c
	return c, nil
}

// tree opens the files of a source.
func (r *run) tree(ctx context.Context, src dockerfile.Source) (files.Tree, error) {
	if src.Kind == dockerfile.FromContext {
		c, err := r.context(ctx, src.Name)
		if err != nil {
			return nil, err
		}
		return c.Tree(), nil
	}
	key, err := r.state(ctx, src)
	if err != nil {
		return nil, err
	}
	if err := r.ensure(ctx, key); err != nil {
		return nil, err
	}
	view, err := r.Store.View(key)
	if err != nil {
		return nil, err
	}
	return files.ViewTree(view), nil
}

// copyDigest is the digest of what a COPY or ADD selects.
func (w *work) copyDigest(ctx context.Context, s *dockerfile.Copy) ([32]byte, error) {
	if s.From.Kind == dockerfile.FromContext {
		tree, err := w.tree(ctx, s.From)
		if err != nil {
			return [32]byte{}, err
		}
		return w.digest(ctx, tree, s)
	}
	return w.remembered(ctx, s.From, selector(s), func(t files.Tree) ([32]byte, error) { return w.digest(ctx, t, s) })
}

// digest is files.DigestCopy, with remote sources fetched by the options of this build.
func (w *work) digest(ctx context.Context, t files.Tree, s *dockerfile.Copy) ([32]byte, error) {
	return files.DigestCopy(ctx, t, s, w.fetcher())
}

// remembered returns the digest of a selection of a state, from its record, from a shared cache, or computed.
func (w *work) remembered(ctx context.Context, src dockerfile.Source, selection []string, compute func(files.Tree) ([32]byte, error)) (sum [32]byte, err error) {
	state, err := w.expected(ctx, src)
	if err != nil {
		return sum, err
	}
	if sum, ok := w.recalled(ctx, state, selection); ok {
		return sum, nil
	}
	if w.guessing {
		return sum, errUnknown
	}
	if !w.mayWork() {
		return sum, ErrNeedsNamespace
	}
	t, err := w.tree(ctx, src)
	if err != nil {
		return sum, err
	}
	if state, err = w.state(ctx, src); err != nil {
		return sum, err
	}
	if sum, err = compute(t); err != nil {
		return sum, err
	}
	record := selectionKey(state, selection)
	w.shareFact(ctx, sharedDigest, selectionKey(w.public(state), selection), sum)
	return sum, w.Store.Remember(recordDigest, record, sum[:])
}

func selectionKey(state layers.Key, selection []string) layers.Key {
	name := newRecipe("selection", state)
	name.list(selection)
	return name.key()
}

// recalled is the digest that is known of a selection. What a shared cache says of it is good to look up results by: what
// is made now is named by what is there.
func (w *work) recalled(ctx context.Context, state layers.Key, selection []string) (sum [32]byte, ok bool) {
	public := selectionKey(w.public(state), selection)
	if v, ok := w.Store.Recall(recordDigest, selectionKey(state, selection)); ok && len(v) == len(sum) {
		w.shareFact(ctx, sharedDigest, public, layers.Key(v))
		return [32]byte(v), true
	}
	if w.settled {
		return sum, false
	}
	if e := w.shared(sharedDigest, public); e != nil {
		w.claimed = true
		return e.result, true
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
	w.sums, w.sources, w.paths = make([][32]byte, len(s.Mounts)), make([]layers.Key, len(s.Mounts)), make([]string, len(s.Mounts))
	for i := range s.Mounts {
		m := &s.Mounts[i]
		w.paths[i] = m.Source
		switch {
		case m.Type == dockerfile.MountBind && isContext(m):
			name, _ := contextName(m)
			if w.paths[i], err = w.realPath(ctx, name, m.Source); err != nil {
				break
			}
			w.sources[i], err = w.snapshotOf(ctx, name, w.paths[i])
			w.sums[i] = w.sources[i]
		case m.Type == dockerfile.MountBind:
			if w.sources[i], err = w.expected(ctx, *m.From); err == nil {
				w.sums[i], err = w.remembered(ctx, *m.From, []string{"bind", m.Source}, func(t files.Tree) ([32]byte, error) {
					return files.DigestPath(ctx, t, m.Source)
				})
			}
		case m.From != nil: // the seed of a cache
			w.sources[i], err = w.expected(ctx, *m.From)
			w.sums[i] = w.sources[i]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func isContext(m *dockerfile.Mount) bool {
	_, ok := contextName(m)
	return ok
}

// realPath follows the symlinks of a path in a context.
func (r *run) realPath(ctx context.Context, name, path string) (string, error) {
	c, err := r.context(ctx, name)
	if err != nil {
		return "", err
	}
	return files.RealPath(c.Tree(), path)
}

// contextKey is the state that holds a whole context.
func (r *run) contextKey(ctx context.Context, name string) (layers.Key, error) {
	key, err := r.snapshotOf(ctx, name, "/")
	if err != nil {
		return key, err
	}
	return key, r.materialise(ctx, key, name, "/")
}

// snapshotOf names the state that has the path of a context, and nothing else: by content, so that it serves all steps
// and builds. It is made (materialise) only when something runs over it.
func (r *run) snapshotOf(ctx context.Context, name, path string) (key layers.Key, err error) {
	c, err := r.context(ctx, name)
	if err != nil {
		return key, err
	}
	sum, err := files.DigestPath(ctx, c.Tree(), path)
	if err != nil {
		return key, err
	}
	k := newRecipe("context", layers.Key{})
	k.text(path)
	k.bytes(sum[:])
	return k.key(), nil
}

// materialise makes the state that snapshotOf named, where it is not stored.
func (r *run) materialise(ctx context.Context, key layers.Key, name, path string) error {
	if r.Store.Has(key) {
		return nil
	}
	if !r.mayWork() {
		return ErrNeedsNamespace
	}
	c, err := r.context(ctx, name)
	if err != nil {
		return err
	}
	d, err := r.Store.Draft(ctx, layers.Key{})
	if err != nil {
		return err
	}
	defer d.Discard()
	if err := files.CopyPath(ctx, d, c.Tree(), path, r.notice); err != nil {
		return err
	}
	return d.Commit(ctx, key)
}

func (w *work) copyIn(ctx context.Context, d *layers.Draft, s *dockerfile.Copy) error {
	tree, err := w.tree(ctx, s.From)
	if err != nil {
		return err
	}
	return files.CopyInto(ctx, d, s, tree, w.fetcher())
}

// platform is what the stage is built for: that of its base image, else the build's.
func (w *work) platform() v1.Platform {
	return v1.Platform{OS: w.stage.config.OS, Architecture: w.stage.config.Architecture, Variant: w.stage.config.Variant}
}

// fetcher fetches what the steps of this build take from elsewhere.
func (r *run) fetcher() remote.Fetcher {
	return remote.Fetcher{Store: r.Store, Environ: r.req.Environ, Fetched: r.remotes, SSH: remote.GrantOf(r.req.Agents["default"].Socket),
		Secret: func(id string) ([]byte, bool) { s, ok := r.req.Secrets[id]; return s.Data, ok },
		Bounds: remote.Bounds{Bytes: r.req.MaxDownload}, Notice: r.notice, LocalNetwork: r.req.Allow["network.host"]}
}

func (r *run) notice(text string) { r.report(Event{Type: Notice, Text: text}) }
