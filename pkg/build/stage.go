// This file owns what a stage of the plan is for a build, and what is told by its steps alone.
// Nothing in it changes while the build runs, but the states that its steps have led to.

package build

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
)

// stage is a Stage whose base is known: its steps and config are decided, nothing has run yet.
type stage struct {
	*dockerfile.Stage
	steps    []dockerfile.Step
	resolved *dockerfile.Resolved
	config   *v1.ConfigFile
	parent   *stage // set if FROM names a stage
	base     *base  // set if FROM names an image; neither is set for scratch
	exported bool   // its layers are part of the result
	needs    []*stage
	keys     []layers.Key // the state after each step; valid when the stage has been walked
}

// name is how messages call the stage.
func (s *stage) name() string {
	if s.Name != "" {
		return s.Name
	}
	return fmt.Sprintf("stage-%d", s.Index)
}

// title is how displays call a step of the stage.
func (s *stage) title(p *dockerfile.Plan, i int) string {
	name := s.name() + " "
	if len(p.Stages) == 1 && s.Name == "" {
		name = ""
	}
	return fmt.Sprintf("[%s%d/%d] %s", name, i+2, len(s.steps)+1, s.steps[i].Meta().Title)
}

// platform is what the stage is built for: that of its base image, else the build's.
func (s *stage) platform() v1.Platform {
	return v1.Platform{OS: s.config.OS, Architecture: s.config.Architecture, Variant: s.config.Variant}
}

// baseName is what the stage, or the first of those that it stands on, begins with.
func (s *stage) baseName() string {
	for s.parent != nil {
		s = s.parent
	}
	if s.base != nil {
		return s.base.ref
	}
	return "scratch"
}

// aRun returns a RUN among the steps that the stage needs, nil if there is none.
func (s *stage) aRun(seen map[*stage]bool) dockerfile.Step {
	if s == nil || seen[s] {
		return nil
	}
	seen[s] = true
	for _, step := range s.steps {
		if !bringsFiles(step) {
			return step
		}
	}
	for _, n := range s.needs {
		if run := n.aRun(seen); run != nil {
			return run
		}
	}
	return s.parent.aRun(seen)
}

// markNeeded marks the stage and all that it stands on and reads.
func (s *stage) markNeeded(seen map[*stage]bool) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	for _, n := range s.needs {
		n.markNeeded(seen)
	}
	s.parent.markNeeded(seen)
}

// markExported marks the stages whose snapshots become layers of the result.
func (s *stage) markExported() {
	for ; s != nil; s = s.parent {
		s.exported = true
	}
}

// sourcesOf lists every place that the steps take files from.
func sourcesOf(steps ...dockerfile.Step) (all []dockerfile.Source) {
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

// contextName says whether a bind mount shows a context, and which.
func contextName(d *dockerfile.Mount) (string, bool) {
	if d.From == nil {
		return "", true
	}
	return d.From.Name, d.From.Kind == dockerfile.FromContext
}

// isLinked says whether a step is a COPY --link, which is the same whatever it stands on.
func isLinked(s dockerfile.Step) bool {
	c, ok := s.(*dockerfile.Copy)
	return ok && files.Linked(c)
}

// bringsFiles says whether a step brings files, and executes nothing.
func bringsFiles(s dockerfile.Step) bool {
	_, run := s.(*dockerfile.Run)
	return !run
}
