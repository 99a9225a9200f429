// This file owns the way from the text of a Dockerfile to a Plan. What a Dockerfile may have at most is here, too.

package dockerfile

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/util/suggest"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// These bound a Dockerfile. BuildKit stops reading at maxSize, too. Without the others, one with lines of a few bytes would
// take hours, and memory many times its size.
const (
	maxSize         = 16 << 20
	maxLines        = 500_000
	maxInstructions = 10_000
)

// Parse reads a Dockerfile and finds its stages, what each is based on, and the one to build. name is only for messages.
// What needs the config of a base image is left to Stage.Resolve. Every error is an *Error.
func Parse(name string, src []byte, o Options) (*Plan, error) {
	p := &Plan{Name: name, Source: src, opts: o, args: maps.Clone(o.Args)}
	if p.args == nil {
		p.args = map[string]string{}
	}
	setPlatforms(p)
	setContexts(p)
	p.ignore = newIgnorer(o.Ignore)
	if err := parse(p); err != nil {
		e := p.fail(err, nil)
		if !errors.Is(err, errUnlocated) {
			e.Location = e.clamped(src)
		}
		e.Warnings = p.Warnings
		return nil, e
	}
	return p, nil
}

// parse reads the text that is in the Plan.
func parse(p *Plan) error {
	if len(bytes.TrimSpace(p.Source)) == 0 {
		return hint.Errorf("a Dockerfile begins with FROM", "the Dockerfile is empty")
	}
	if len(p.Source) > maxSize {
		return errors.New("the Dockerfile exceeds the maximum allowed size of 16 MiB")
	}
	if bytes.Count(p.Source, []byte("\n")) > maxLines {
		return fmt.Errorf("the Dockerfile has more than %d lines", maxLines)
	}
	if err := setChecks(p); err != nil {
		return err
	}
	lint := newLinter(p.check, &p.Warnings)
	noteSyntax(p, lint)
	ast, err := parser.Parse(bytes.NewReader(p.Source))
	if err != nil {
		return counted(err)
	}
	p.escape = ast.EscapeToken
	if n := len(ast.AST.Children); n > maxInstructions {
		err := hint.Errorf("generate a script or a file of the context instead", "the Dockerfile has more than %d instructions", maxInstructions)
		return parser.WithLocation(err, ast.AST.Children[maxInstructions].Location())
	}
	lintContinuations(ast.Warnings, lint)
	adapt(ast.AST.Children, lint)
	stages, globals, err := instructions.Parse(ast.AST, lint)
	if err != nil {
		return err
	}
	if len(stages) == 0 {
		return hint.Errorf("a stage begins with FROM", "dockerfile contains no stages to build")
	}
	lintStageNames(stages, lint)
	lintCasing(stages, lint)
	if err := setGlobals(p, stages, globals, lint); err != nil {
		return err
	}
	return setStages(p, stages, stageNodes(ast.AST.Children), lint)
}

// zeroBased are the errors whose line the parser counts from 0.
var zeroBased = lazyregexp.New(`parser directive|escape token|max allowed size`)

// counted corrects the line of such an error.
func counted(err error) error {
	var located *parser.LocationError
	if !errors.As(err, &located) || len(located.Locations) == 0 {
		return err
	}
	if zeroBased().MatchString(err.Error()) {
		line := located.Locations[0][0].Start.Line + 1
		at := parser.Position{Line: line}
		return parser.SetLocation(err, []parser.Range{{Start: at, End: at}})
	}
	return err
}

// stageNodes sorts the instructions by the FROM above them.
func stageNodes(nodes []*parser.Node) [][]*parser.Node {
	var out [][]*parser.Node
	for _, n := range nodes {
		switch {
		case strings.EqualFold(n.Value, "from"):
			out = append(out, nil)
		case len(out) > 0:
			out[len(out)-1] = append(out[len(out)-1], n)
		}
	}
	return out
}

// setStages makes the stages in their order, and finds the target.
func setStages(p *Plan, stages []instructions.Stage, nodes [][]*parser.Node, lint *linter.Linter) error {
	if err := setEpoch(p, stages); err != nil {
		return err
	}
	for i := range stages {
		s, err := newStage(p, i, &stages[i], lint.WithMergedConfigFromComments(stages[i].Comments))
		if err != nil {
			return p.fail(err, stages[i].Location)
		}
		if !s.replaced {
			s.nodes = nodes[i]
		}
		p.Stages = append(p.Stages, s)
	}
	resolveEpochStage(p)
	target, err := findTarget(p)
	if err != nil {
		return err
	}
	p.Target = target
	return checkDependencies(p, stages)
}

// findTarget finds the stage to build: by name, by index, or the last one.
func findTarget(p *Plan) (*Stage, error) {
	name := p.opts.Target
	if name == "" {
		return p.Stages[len(p.Stages)-1], nil
	}
	if s := p.stageNamed(name, len(p.Stages)); s != nil {
		return s, nil
	}
	if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(p.Stages) {
		return p.Stages[i], nil
	}
	var names []string
	for _, s := range p.Stages {
		if s.Name != "" {
			names = append(names, s.Name)
		}
	}
	remedy := "no stage has a name: add AS NAME to a FROM"
	if len(names) > 0 {
		remedy = "the stages are " + strings.Join(names, ", ")
	}
	err := suggest.WrapError(hint.Errorf(remedy, "target stage %q could not be found", name), name, names, true)
	return nil, optionError{err}
}
