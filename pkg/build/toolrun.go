// This file owns what tool caches are told of a build and of its RUNs.

package build

import (
	"context"
	"strings"

	"github.com/gbuild/gbuild/internal/tasks"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/toolcache"
)

// toolReports shows what is said of caches as events.
type toolReports struct{ events *events }

// Notice implements ToolReports.
func (r toolReports) Notice(step int, text string) { r.events.notice(step, text) }

// Cache implements ToolReports.
func (r toolReports) Cache(step int, text string, use *toolcache.Use) {
	r.events.report(Event{Type: Cache, Step: step, Text: text, Cache: use})
}

// newTools is what the RUNs of a build share of caches. left says whether the Dockerfile reads those of its own.
func newTools(b *Builder, req *Request, p *parts, t *tasks.Group, left bool) *toolcache.Build {
	return toolcache.New(toolcache.Options{Caches: b.Caches, Scope: req.Scope, Below: req.ScopesBelow, Empty: req.NoCacheMounts,
		Tools: req.AutoCache, Mirrors: req.Mirrors, PipDir: req.PipDir, Space: req.Plan.CacheNamespace(), Left: left, Moved: b.Serial,
		Unnamed: len(req.Limits.Devices) > 0, Scratch: p.runs.scratch, Reports: toolReports{p.events},
		Beside: func(f func() error) { t.Start(f) }, Outer: p.caches.outer})
}

// toolRunOf is what they are told of one RUN.
func toolRunOf(w *work, s *dockerfile.Run, d *layers.Draft, user runtime.Identity) toolcache.Run {
	return toolcache.Run{Step: w.number, User: user, Lower: d.Lower(), Private: d.Private(), About: about(w), Distrust: w.distrust,
		Rerun: w.rerun, Recipe: w.recipes.own, Parent: w.parent,
		Over: func(below layers.Key, s *dockerfile.Run) layers.Key {
			return runKey(below, s, w.stage.platform(), w.build.req.Limits, w.in.sums)
		},
		Brought: w.build.brought,
		Mounted: func(ctx context.Context, i int) (*rootfs.View, string, error) {
			if err := w.build.makeContext(ctx, &s.Mounts[i], w.in.states[i], w.in.paths[i]); err != nil {
				return nil, "", err
			}
			v, err := w.build.states.view(ctx, w.in.states[i])
			return v, w.in.paths[i], err
		}}
}

// brought returns the state below one that a step made which executes nothing, and what the step brought.
func (p *parts) brought(k layers.Key) (below layers.Key, changed *rootfs.View, ok bool) {
	made := p.states.originOf(k)
	if !made.known || !made.brings {
		return below, nil, false
	}
	changed, err := p.store.Changed(k)
	return made.parent, changed, err == nil
}

// makeContext makes the state that a bind mount shows a path of, where that is a context.
func (p *parts) makeContext(ctx context.Context, d *dockerfile.Mount, state layers.Key, source string) error {
	name, ok := contextName(d)
	if !ok {
		return nil
	}
	return p.sources.materialise(ctx, state, name, source)
}

// about says to people what a scope stands for: what the RUN stands on, and the RUN.
func about(w *work) string {
	text := strings.Join(strings.Fields(w.step.Meta().Title), " ")
	if r := []rune(text); len(r) > 60 {
		text = string(r[:60]) + "..."
	}
	return "on " + w.stage.baseName() + ": " + text
}
