// This file owns what a name stands for, in FROM, in --from or in from=: a stage, a named context, or an image.

package dockerfile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/hint"
)

// errLaterStage is in the chain of the error about a stage that does not stand above the one that uses it.
var errLaterStage = errors.New("needs to be defined before current stage")

// stageFor returns the stage that from names for an instruction of stage i, or nil where from is no stage. A stage that
// is not above stage i is returned with an error that is errLaterStage.
func stageFor(p *Plan, from string, i int, numbers bool) (*Stage, error) {
	if from == "" || strings.Contains(from, "$") {
		return nil, nil
	}
	s := p.stageNamed(from, i)
	if s == nil {
		s = p.stageNamed(from, len(p.Stages))
	}
	if n, err := strconv.Atoi(from); err == nil && numbers {
		if n < 0 || n >= len(p.Stages) {
			remedy := fmt.Sprintf("stages are counted from 0, and this file has %d", len(p.Stages))
			return nil, hint.Errorf(remedy, "invalid stage index %d", n)
		}
		s = p.Stages[n]
	}
	if s != nil && s.Index >= i && !s.replaced {
		remedy := fmt.Sprintf("move the stage %q above the one that uses it", from)
		return s, hint.Errorf(remedy, "stage %q %w %q", from, errLaterStage, p.stageTitle(i))
	}
	return s, nil
}

// setContexts writes the names of the named contexts as they are looked up: without the defaults of a reference.
func setContexts(p *Plan) {
	p.contexts = make(map[string]string, len(p.opts.Contexts))
	for key := range p.opts.Contexts {
		name, platform, ok := strings.Cut(key, "::")
		name = familiar(name)
		if ok {
			name += "::" + platform
		}
		p.contexts[name] = key
	}
}

// namedContext returns what --build-context says that name is. Two names cannot be taken.
func namedContext(p *Plan, name string, platform v1.Platform) (Source, bool) {
	if strings.EqualFold(name, "scratch") || strings.EqualFold(name, "context") {
		return Source{}, false
	}
	name = familiar(name)
	key, ok := p.contexts[name+"::"+formatPlatform(normalPlatform(platform), true)]
	if !ok {
		key, ok = p.contexts[name]
	}
	if !ok {
		return Source{}, false
	}
	src := Source{Platform: platform, Named: true}
	value := p.opts.Contexts[key]
	if ref, ok := strings.CutPrefix(value, "docker-image://"); ok {
		src.Kind, src.Name = FromImage, ref
		if ref == "scratch" {
			src.Kind, src.Name = FromScratch, ""
		}
	} else if dir, ok := strings.CutPrefix(value, "oci-layout://"); ok {
		src.Kind, src.Name = FromImage, "oci:"+dir
	} else {
		src.Kind, src.Name = FromContext, key
	}
	return src, true
}

// external returns what a name stands for that is no stage.
func external(p *Plan, name string, platform v1.Platform) (Source, error) {
	if name == "scratch" {
		return Source{Kind: FromScratch, Platform: platform}, nil
	}
	ref, err := parseReference(name)
	if err != nil {
		err = fmt.Errorf("failed to parse stage name %q: %w", name, err)
		if lower := strings.ToLower(name); lower != name {
			err = hint.Wrap(err, "names of images are in lower case: "+lower)
		}
		return Source{}, err
	}
	if src, ok := namedContext(p, name, platform); ok {
		return src, nil
	}
	if scheme, _, ok := strings.Cut(name, ":"); ok && (scheme == "oci" || strings.HasSuffix(scheme, "-archive")) {
		// Only the command line may name files of this machine; in a Dockerfile these are repositories of a registry.
		name = ref.tagged().String()
	}
	return Source{Kind: FromImage, Name: name, Platform: platform}, nil
}

// source returns what --from or a mount's from= stands for in stage s.
func (s *Stage) source(from string, numbers bool) (Source, error) {
	st, err := stageFor(s.plan, from, s.Index, numbers)
	if err != nil {
		return Source{}, err
	}
	if st != nil && st.replaced {
		return st.Base, nil
	}
	if st != nil {
		return Source{Kind: FromStage, Stage: st, Name: st.Name}, nil
	}
	return external(s.plan, from, s.plan.platform)
}
