// This file owns how a FROM is read, and which stages may use which.

package dockerfile

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	"github.com/moby/buildkit/util/suggest"

	"github.com/gbuild/gbuild/internal/hint"
)

// newStage expands a FROM and finds what it names.
func newStage(p *Plan, i int, st *instructions.Stage, lint *linter.Linter) (*Stage, error) {
	lex := shell.NewLex(p.escape)
	s := &Stage{
		Index: i, Name: st.Name, Location: locate(st.Location), Description: st.DocComment,
		plan: p, origin: st.Location, comments: st.Comments, baseText: st.BaseName, flagText: st.Platform,
		usedArgs: map[string]bool{},
	}
	base, err := p.expanded.expand(nil, lex, st.BaseName, p.global)
	lintFromArgs(fromArgNames(p), base.Unmatched, st.Location, lint)
	if err != nil {
		return nil, err
	}
	if base.Result == "" {
		return nil, blankBase(st.BaseName, base)
	}
	s.use(base.Matched)
	if err := s.setPlatform(st, lex, lint); err != nil {
		return nil, err
	}
	return s, s.setBase(base.Result)
}

// blankBase is the error about a FROM whose variables have no value.
func blankBase(text string, match shell.ProcessWordResult) error {
	remedy := "name an image or a stage"
	names := slices.Sorted(maps.Keys(match.Unmatched))
	if len(names) > 0 {
		remedy = fmt.Sprintf("give it a value with --build-arg %s=IMAGE, or a default with ARG %s=IMAGE above the first FROM", names[0], names[0])
	}
	return hint.Errorf(remedy, "base name (%s) should not be blank", text)
}

// use notes global ARGs that the FROM of the stage has used.
func (s *Stage) use(names map[string]struct{}) {
	for name := range names {
		s.usedArgs[name] = true
	}
}

// setPlatform reads --platform, in which only global ARGs count.
func (s *Stage) setPlatform(st *instructions.Stage, lex *shell.Lex, lint *linter.Linter) error {
	if st.Platform == "" {
		return nil
	}
	p := s.plan
	match, err := p.expanded.expand(nil, lex, st.Platform, p.global)
	lintFromArgs(fromArgNames(p), match.Unmatched, st.Location, lint)
	lintPlatformFlag(st, match, p.global, lint)
	if err != nil {
		return fmt.Errorf("failed to process arguments for platform %s: %w", st.Platform, err)
	}
	if match.Result == "" {
		return suggestAny(fmt.Errorf("empty platform value from expression %s", st.Platform), match.Unmatched, p.global.Keys())
	}
	platform, err := parsePlatform(match.Result)
	if err != nil {
		err = suggestAny(err, match.Unmatched, p.global.Keys())
		return fmt.Errorf("failed to parse platform %s: %w", st.Platform, err)
	}
	s.use(match.Matched)
	s.platform = &platform
	return nil
}

// suggestAny adds to an error which variable is close to the first of those that nothing sets.
func suggestAny(err error, names map[string]struct{}, options []string) error {
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if ok, better := suggest.WrapErrorMaybe(err, name, options, true); ok {
			return better
		}
	}
	return err
}

// setBase finds what the name of a FROM stands for: a named context in place of the whole stage, an earlier stage, a named
// context in place of an image, or an image.
func (s *Stage) setBase(name string) error {
	p := s.plan
	platform := p.platform
	if s.platform != nil {
		platform = *s.platform
	}
	if s.Name != "" {
		if src, ok := namedContext(p, s.Name, platform); ok {
			s.Base, s.replaced = src, true
			return nil
		}
	}
	if base := p.stageNamed(name, s.Index); base != nil {
		s.Base = Source{Kind: FromStage, Stage: base, Name: base.Name, Platform: platform}
		return nil
	}
	src, err := external(p, name, platform)
	s.Base = src
	return err
}

// checkDependencies refuses stages that need each other, and numbers that no stage has, whether the target needs them
// or not. Names with variables are left to Resolve: there a stage may only use those above it.
func checkDependencies(p *Plan, stages []instructions.Stage) error {
	deps := make([][]dependency, len(stages))
	for i := range stages {
		if p.Stages[i].replaced {
			continue
		}
		var err error
		if deps[i], err = dependencies(p, i, &stages[i]); err != nil {
			return err
		}
	}
	visited, path := make([]bool, len(stages)), make([]bool, len(stages))
	for i := range stages {
		if cmd := findCircle(i, deps, visited, path); cmd != nil {
			err := hint.Errorf("copy what both need from a third stage", "circular dependency detected on stage: %s", p.stageTitle(i))
			return p.fail(err, cmd.Location())
		}
	}
	return nil
}

// dependency is a stage that an instruction copies from or mounts.
type dependency struct {
	stage int
	cmd   instructions.Command
}

// dependencies are the stages that the instructions of a stage copy from or mount.
func dependencies(p *Plan, i int, st *instructions.Stage) ([]dependency, error) {
	var out []dependency
	for _, cmd := range st.Commands {
		var names []string
		var numbers bool
		switch c := cmd.(type) {
		case *instructions.CopyCommand:
			names, numbers = []string{c.From}, true
		case *instructions.RunCommand:
			for _, m := range instructions.GetMounts(c) {
				names = append(names, m.From)
			}
		}
		for _, name := range names {
			s, err := stageFor(p, unprotect(name), i, numbers)
			if err != nil && !errors.Is(err, errLaterStage) {
				return nil, p.fail(err, cmd.Location())
			}
			if s != nil {
				out = append(out, dependency{s.Index, cmd})
			}
		}
	}
	return out, nil
}

// findCircle walks the dependencies of stage i in depth and returns the instruction that closes a circle.
func findCircle(i int, deps [][]dependency, visited, path []bool) instructions.Command {
	if visited[i] {
		return nil
	}
	visited[i], path[i] = true, true
	defer func() { path[i] = false }()
	for _, d := range deps[i] {
		if path[d.stage] {
			return d.cmd
		}
		if cmd := findCircle(d.stage, deps, visited, path); cmd != nil {
			return cmd
		}
	}
	return nil
}
