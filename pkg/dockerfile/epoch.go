// This file owns SOURCE_DATE_EPOCH: the time that files and images of a build get.

package dockerfile

import (
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/gbuild/gbuild/internal/hint"
)

// epochName is the build argument, and the variable, that says the time in seconds.
const epochName = "SOURCE_DATE_EPOCH"

// setEpoch reads SOURCE_DATE_EPOCH from the build arguments, else from a global ARG.
func setEpoch(p *Plan, stages []instructions.Stage) error {
	value, given := p.args[epochName]
	if !given {
		value, _ = p.global.Get(epochName)
	}
	if value == "" {
		if given {
			p.SetEpoch(nil)
		}
		return nil
	}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		p.SetEpoch(&n)
		return nil
	}
	if value == "context" {
		p.EpochSource = &Source{Kind: FromContext}
		return nil
	}
	if src, ok := namedContext(p, value, p.platform); ok {
		p.EpochSource = &src
		return nil
	}
	for i := range stages {
		if strings.EqualFold(stages[i].Name, value) {
			p.EpochSource = &Source{Kind: FromStage, Name: stages[i].Name}
			return nil
		}
	}
	remedy := "it is a number of seconds since 1970, context, or the name of a stage or of a named context"
	err := hint.Errorf(remedy, "invalid %s: %s", epochName, value)
	for _, d := range p.globalDoc {
		if d.name == epochName && !given {
			e := p.fail(err, nil)
			e.Location = d.location
			return e
		}
	}
	return optionError{err}
}

// resolveEpochStage puts the stage into EpochSource, when setEpoch found its name.
func resolveEpochStage(p *Plan) {
	if p.EpochSource != nil && p.EpochSource.Kind == FromStage {
		p.EpochSource.Stage = p.stageNamed(p.EpochSource.Name, len(p.Stages))
	}
}

// SetEpoch sets SOURCE_DATE_EPOCH in Unix seconds; nil unsets it, as a source does that has no time of its own.
func (p *Plan) SetEpoch(seconds *int64) {
	p.Epoch = seconds
	_, given := p.args[epochName]
	_, declared := p.global.Get(epochName)
	if seconds == nil {
		delete(p.args, epochName)
		p.global.remove(epochName)
		return
	}
	text := strconv.FormatInt(*seconds, 10)
	if given {
		p.args[epochName] = text
	}
	if declared {
		p.global.set(epochName, text)
	}
}
