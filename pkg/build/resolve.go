package build

import (
	"context"
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// stage is a Stage whose base is known: its steps and config are decided, nothing has run yet.
type stage struct {
	*dockerfile.Stage
	steps    []dockerfile.Step
	resolved *dockerfile.Resolved
	config   *v1.ConfigFile
	parent   *stage // FROM stage
	base     *base  // FROM image
	exported bool   // its layers are part of the result
	needs    []*stage
	keys     []layers.Key // after each step; valid when its future is done
}

// base is an image that files or a config come from.
type base struct {
	ref    string
	image  v1.Image
	config *v1.ConfigFile
	layers []v1.Layer
	key    layers.Key

	startInterval time.Duration // of the health check: v1.HealthConfig has no field for it
}

// resolve decides the steps of a stage, and of all that it needs.
func (r *run) resolve(ctx context.Context, s *dockerfile.Stage) (*stage, error) {
	if known := r.resolved[s]; known != nil {
		return known, nil
	}
	st := &stage{Stage: s}
	config, err := r.resolveBase(ctx, st)
	if err != nil {
		return nil, r.blame(&dockerfile.Meta{Location: s.Location}, err)
	}
	res, err := s.Resolve(config)
	if err != nil {
		return nil, err
	}
	r.warn(res.Warnings)
	st.resolved, st.steps, st.config = res, res.Steps, res.Config
	r.resolved[s] = st
	if err := r.lintCopied(ctx, st); err != nil {
		return nil, err
	}
	for _, src := range sources(st.steps) {
		if src.Kind != dockerfile.FromStage {
			continue
		}
		need, err := r.resolve(ctx, src.Stage)
		if err != nil {
			return nil, err
		}
		st.needs = append(st.needs, need)
	}
	return st, nil
}

// lintCopied warns of images that files are copied from, as Resolve does of bases.
func (r *run) lintCopied(ctx context.Context, st *stage) error {
	for _, step := range st.steps {
		c, ok := step.(*dockerfile.Copy)
		if !ok || c.From.Kind != dockerfile.FromImage {
			continue
		}
		b, err := r.image(ctx, c.From)
		if err != nil {
			return r.blame(c.Meta(), err)
		}
		r.warn(r.plan.LintCopied(c, b.config))
	}
	return nil
}

// resolveBase returns the config that the stage starts from; nil for scratch.
func (r *run) resolveBase(ctx context.Context, st *stage) (*v1.ConfigFile, error) {
	switch st.Base.Kind {
	case dockerfile.FromStage:
		parent, err := r.resolve(ctx, st.Base.Stage)
		if err != nil {
			return nil, err
		}
		st.parent = parent
		return parent.config, nil
	case dockerfile.FromImage:
		b, err := r.image(ctx, st.Base)
		if err != nil {
			return nil, err
		}
		st.base = b
		st.BaseStartInterval = b.startInterval
		return b.config, nil
	default:
		return nil, nil
	}
}

// sources lists every place that the steps take files from.
func sources(steps []dockerfile.Step) (all []dockerfile.Source) {
	for _, s := range steps {
		switch s := s.(type) {
		case *dockerfile.Copy:
			all = append(all, s.From)
		case *dockerfile.Run:
			for _, m := range s.Mounts {
				if m.From != nil {
					all = append(all, *m.From)
				}
			}
		}
	}
	return all
}

// image fetches the manifest and config of an image; no layer.
func (r *run) image(ctx context.Context, src dockerfile.Source) (*base, error) {
	name := src.Name + "\x00" + src.Platform.String()
	r.mu.Lock()
	known := r.images[name]
	r.mu.Unlock()
	if known != nil {
		return known, nil
	}
	b, err := r.fetch(ctx, src)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.images[name] = b
	return b, nil
}

func (r *run) fetch(ctx context.Context, src dockerfile.Source) (*base, error) {
	n := r.begin("[internal] load metadata for " + src.Name)
	img, err := r.Fetch(r.outer, src.Name, src.Platform) // its layers are read after the build's own context has ended
	if err != nil {
		if from := stageNames(r.plan); !strings.ContainsAny(src.Name, "./:") && from != "" {
			err = hint.Wrap(err, fmt.Sprintf("%s is no stage that stands before this line (there are %s), so it was taken for an image", src.Name, from))
		}
		return nil, r.fail(n, err)
	}
	b := &base{ref: src.Name, image: img}
	if b.config, err = img.ConfigFile(); err != nil {
		return nil, r.fail(n, fmt.Errorf("reading config of %s: %w", src.Name, err))
	}
	raw, err := img.RawConfigFile()
	if err != nil {
		return nil, r.fail(n, fmt.Errorf("reading config of %s: %w", src.Name, err))
	}
	b.startInterval = dockerfile.StartInterval(raw)
	if b.layers, err = img.Layers(); err != nil {
		return nil, r.fail(n, fmt.Errorf("reading manifest of %s: %w", src.Name, err))
	}
	if len(b.layers) != len(b.config.RootFS.DiffIDs) {
		return nil, r.fail(n, fmt.Errorf("%s is malformed: %d layers but %d diff ids", src.Name, len(b.layers), len(b.config.RootFS.DiffIDs)))
	}
	if r.Store != nil { // Lint has none
		for i, l := range b.layers {
			b.layers[i] = r.Store.Near(l)
		}
		if b.key, err = StateOf(r.Store, img); err != nil {
			return nil, r.fail(n, err)
		}
		if chain := chainOf(b.config); chain != b.key { // it was built here; others know it by its layers
			r.identify(b.key, identity{recipe: chain})
		}
	}
	r.report(Event{Type: Done, Step: n})
	return b, nil
}

func stageNames(p *dockerfile.Plan) string {
	var names []string
	for _, s := range p.Stages {
		if s.Name != "" {
			names = append(names, s.Name)
		}
	}
	return strings.Join(names, ", ")
}

// hasRun says whether a RUN is among the steps that the stage needs.
func (s *stage) hasRun(seen map[*stage]bool) bool {
	if s == nil || seen[s] {
		return false
	}
	seen[s] = true
	for _, step := range s.steps {
		if _, ok := step.(*dockerfile.Run); ok {
			return true
		}
	}
	for _, n := range s.needs {
		if n.hasRun(seen) {
			return true
		}
	}
	return s.parent.hasRun(seen)
}

// markExported marks the stages whose snapshots become layers of the result.
func (s *stage) markExported() {
	for ; s != nil; s = s.parent {
		s.exported = true
	}
}

// begin opens a line of work and returns its number.
func (r *run) begin(title string) int { return r.beginAt(title, time.Now()) }

func (r *run) beginAt(title string, at time.Time) int {
	n := int(r.numbers.Add(1))
	r.report(Event{Type: Started, Step: n, Title: title, Time: at})
	return n
}

// progress says how many bytes of a line of work are done; total is 0 where that is unknown.
func (r *run) progress(n int, done, total int64) {
	r.report(Event{Type: Progress, Step: n, Current: done, Total: total, Text: "bytes"})
}

func (r *run) fail(n int, err error) error {
	r.report(Event{Type: Failed, Step: n, Text: err.Error()})
	return err
}
