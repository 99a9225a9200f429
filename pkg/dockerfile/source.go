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
func (p *Plan) stageFor(from string, i int, numbers bool) (*Stage, error) {
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

// stageTitle is the name of a stage, or its number.
func (p *Plan) stageTitle(i int) string {
	if i < len(p.Stages) && p.Stages[i].Name != "" {
		return p.Stages[i].Name
	}
	return fmt.Sprintf("stage-%d", i)
}

// setContexts writes the names of the named contexts as they are looked up: without the defaults of a reference.
func (p *Plan) setContexts() {
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

func familiar(name string) string {
	r, err := parseReference(name)
	if err != nil {
		return name
	}
	return strings.TrimSuffix(r.familiar(), ":latest")
}

// namedContext returns what --build-context says that name is. Two names cannot be taken.
func (p *Plan) namedContext(name string, platform v1.Platform) (Source, bool) {
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
func (p *Plan) external(name string, platform v1.Platform) (Source, error) {
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
	if src, ok := p.namedContext(name, platform); ok {
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
	st, err := s.plan.stageFor(from, s.Index, numbers)
	if err != nil {
		return Source{}, err
	}
	if st != nil && st.replaced {
		return st.Base, nil
	}
	if st != nil {
		return Source{Kind: FromStage, Stage: st, Name: st.Name}, nil
	}
	return s.plan.external(from, s.plan.platform)
}
