// This file owns the first part of a build: the steps and configs of all stages that are needed, before anything runs.

package build

import (
	"context"
	"errors"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// resolver decides the steps of the stages of a plan, and collects the warnings.
type resolver struct {
	plan   *dockerfile.Plan
	bases  *bases
	events *events
	every  bool // the target does not need all of them

	stages   map[*dockerfile.Stage]*stage // only read, when all are resolved
	warnings []dockerfile.Warning
}

// all resolves the target and what it needs, and checks the plan.
func (r *resolver) all() (target *stage, err error) {
	for _, s := range r.plan.Stages[:r.plan.Target.Index] {
		if r.every {
			if _, err := r.resolve(s); err != nil {
				return nil, err
			}
		}
	}
	if target, err = r.resolve(r.plan.Target); err != nil {
		return nil, err
	}
	r.warn(r.plan.Warnings)
	return target, r.plan.CheckError(r.warnings)
}

// resolve decides the steps of a stage, and of all that it needs.
func (r *resolver) resolve(s *dockerfile.Stage) (*stage, error) {
	if known := r.stages[s]; known != nil {
		return known, nil
	}
	st := &stage{Stage: s}
	config, err := r.resolveBase(st)
	if err != nil {
		return nil, blame(r.plan, &dockerfile.Meta{Location: s.Location}, err)
	}
	res, err := s.Resolve(config)
	if err != nil {
		return nil, err
	}
	r.warn(res.Warnings)
	st.resolved, st.steps, st.config = res, res.Steps, res.Config
	if r.stages == nil {
		r.stages = map[*dockerfile.Stage]*stage{}
	}
	r.stages[s] = st
	if err := r.lintCopied(st); err != nil {
		return nil, err
	}
	for _, src := range sourcesOf(st.steps...) {
		if src.Kind != dockerfile.FromStage {
			continue
		}
		need, err := r.resolve(src.Stage)
		if err != nil {
			return nil, err
		}
		st.needs = append(st.needs, need)
	}
	return st, nil
}

// lintCopied warns of images that files are copied from, as Resolve does of bases.
func (r *resolver) lintCopied(st *stage) error {
	for _, step := range st.steps {
		c, ok := step.(*dockerfile.Copy)
		if !ok || c.From.Kind != dockerfile.FromImage {
			continue
		}
		b, err := r.bases.image(c.From)
		if err != nil {
			return blame(r.plan, c.Meta(), err)
		}
		r.warn(r.plan.LintCopied(c, b.config))
	}
	return nil
}

// resolveBase returns the config that the stage starts from; nil for scratch.
func (r *resolver) resolveBase(st *stage) (*v1.ConfigFile, error) {
	switch st.Base.Kind {
	case dockerfile.FromStage:
		parent, err := r.resolve(st.Base.Stage)
		if err != nil {
			return nil, err
		}
		st.parent = parent
		return parent.config, nil
	case dockerfile.FromImage:
		b, err := r.bases.image(st.Base)
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

// unneeded are the stages that the target does not need, in their order.
func (r *resolver) unneeded(target *stage) (all []*stage) {
	needed := map[*stage]bool{}
	target.markNeeded(needed)
	for _, s := range r.plan.Stages {
		if st := r.stages[s]; st != nil && !needed[st] {
			all = append(all, st)
		}
	}
	return all
}

// warn reports warnings, and keeps them for the rules of the Dockerfile that make some of them errors.
func (r *resolver) warn(ws []dockerfile.Warning) {
	r.warnings = append(r.warnings, ws...)
	for i := range ws {
		r.events.report(Event{Type: Warned, Warning: &ws[i]})
	}
}

// sources lists the stages that a step reads.
func (r *resolver) sources(s dockerfile.Step) (all []*stage) {
	for _, src := range sourcesOf(s) {
		if src.Kind == dockerfile.FromStage {
			all = append(all, r.stages[src.Stage])
		}
	}
	return all
}

// readsCaches says whether a step of this build wants what pip and uv leave below ~/.cache.
func (r *resolver) readsCaches() bool {
	for _, st := range r.stages {
		for _, s := range st.steps {
			if dockerfile.ReadsCaches(s) {
				return true
			}
		}
	}
	return false
}

// blame makes err an error of a line of the Dockerfile.
func blame(p *dockerfile.Plan, m *dockerfile.Meta, err error) error {
	var known *dockerfile.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, ErrNeedsNamespace) || errors.Is(err, context.Canceled) {
		return err
	}
	return &dockerfile.Error{File: p.Name, Source: p.Source, Location: m.Location, Cause: err}
}
