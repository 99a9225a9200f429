// This file owns the order of a build, and the putting together of its parts.

package build

import (
	"context"
	"errors"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/tasks"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/remote"
)

// Build executes the plan and returns the image of its target. Steps of several stages run side by side. The error is a
// *dockerfile.Error where a line is to blame, with the cause inside.
func (b *Builder) Build(ctx context.Context, req *Request) (*Result, error) {
	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	beside := tasks.New(cancel)
	w := b.newWalker(outer, req, beside)
	p := w.build
	defer p.close()
	started := time.Now()
	target, err := p.resolver.all()
	if err != nil {
		return nil, err
	}
	if err := p.process.check(req, target.aRun(map[*stage]bool{})); err != nil {
		return nil, err
	}
	target.markExported()
	p.runs.tools = newTools(b, req, p, beside, p.resolver.readsCaches())
	p.exports.layering.setExtra(target)
	key, err := w.all(ctx, target)
	var sealed []v1.Layer
	if err == nil && req.Files {
		sealed, err = p.states.bring(ctx, key)
	}
	if err != nil {
		cancel(err)
		_ = beside.Wait() // err came first
		return nil, firstError(ctx, err)
	}
	result := &Result{Key: key, Sealed: sealed, Config: target.config, Steps: int(p.crew.executed.Load())}
	if req.NoLayers {
		return result, beside.Wait()
	}
	a := &assembler{store: b.Store, exports: p.exports, sources: p.sources, names: p.names, caches: p.caches,
		epoch: req.Plan.Epoch, noCache: req.NoCache, started: started}
	result.Image, err = a.image(ctx, target, key)
	_ = beside.Wait() // the image is made, or err says why not
	return result, err
}

// firstError prefers the failure that cancelled the rest to the cancellation that it caused elsewhere.
func firstError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		return cause
	}
	return err
}

// newWalker puts the parts of a build together. What the result refers to lives as long as outer, the context of the caller.
func (b *Builder) newWalker(outer context.Context, req *Request, t *tasks.Group) *walker {
	v := &events{to: b.Report, lines: &b.lines}
	line := &exporting{events: v}
	caches := &sharedCaches{from: req.CacheFrom, to: req.CacheTo, outer: outer, events: v, written: tasks.Once[sharedEntry, struct{}]{Tasks: t}}
	names := &names{store: b.Store, caches: caches.key()}
	images := &bases{store: b.Store, find: b.Fetch, outer: outer, stages: stageNames(req.Plan), names: names, events: v,
		unpacked: tasks.Once[*base, layers.Key]{Tasks: t}}
	process := &process{entered: b.Entered}
	layering := &layerPlan{way: req.Layering, none: req.NoLayers,
		base: layers.LayerOptions{Compression: req.Compress, Epoch: req.Plan.Epoch, Report: line.packed}}
	states := newStates(images, process, layering, t)
	exports := newExports(states, line, t)
	p := &parts{req: req, store: b.Store, events: v, process: process, resolver: &resolver{plan: req.Plan, bases: images, events: v, every: req.EveryStage},
		names: names, states: states, exports: exports, caches: caches, crew: newCrew(b.Jobs, b.Serial, t), runs: newRuns(b),
		indexes: &indexes{store: b.Store, states: states, exports: exports, caches: caches, foreign: names.caches,
			written: tasks.Once[layers.Key, struct{}]{Tasks: t}}}
	p.sealed = newSealed(outer, p, t)
	states.sealed = p.sealed
	w := &walker{build: p, serial: b.Serial, walked: tasks.Once[*stage, layers.Key]{Tasks: t}}
	p.stages = w
	p.sources = &sources{store: b.Store, contexts: &contexts{main: req.Context, named: req.Named}, bases: images, states: states, events: v,
		fetcher: newFetcher(b.Store, req, v), stages: w.sourceKey}
	return w
}

// newFetcher fetches what the steps of a build take from elsewhere.
func newFetcher(s *layers.Store, req *Request, v *events) remote.Fetcher {
	return remote.Fetcher{Store: s, Environ: req.Environ, Fetched: remote.NewFetched(), SSH: remote.GrantOf(req.Agents["default"].Socket),
		Secret: func(id string) ([]byte, bool) { s, ok := req.Secrets[id]; return s.Data, ok },
		Bounds: remote.Bounds{Bytes: req.MaxDownload}, Notice: func(text string) { v.notice(0, text) }, LocalNetwork: req.Allow["network.host"]}
}
