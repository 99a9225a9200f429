// This file owns the way from a Stage and the config of its base to Steps and a config.

package dockerfile

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// Resolve expands the instructions of a stage over the config of its base: nil for scratch and for a context, the
// Config of its Resolved for another stage, whose Resolve must have returned before. The stage's plan is not changed,
// but for what Resolve of a child stage and Outline need; so it can be called again. Every error is an *Error.
func (s *Stage) Resolve(base *v1.ConfigFile) (*Resolved, error) {
	r := s.newResolver(base)
	lintBasePlatform(s, base, r.root.WithMergedConfigFromComments(s.comments))
	if s.replaced {
		r.config.Config.OnBuild = nil
		return r.finish(), nil
	}
	triggers, err := r.triggers()
	if err != nil {
		return nil, r.plan.fail(err, s.origin)
	}
	r.enter()
	for i, node := range append(triggers, s.nodes...) {
		r.onbuild = i < len(triggers)
		err := r.instruction(node)
		if err == nil {
			err = r.plan.expanded.room(0)
		}
		if err != nil {
			return nil, r.plan.fail(err, node.Location())
		}
	}
	return r.finish(), nil
}

// newResolver begins with what the base leaves: its config, and the scope of a stage.
func (s *Stage) newResolver(base *v1.ConfigFile) *resolver {
	s.plan.expanded.restart(s)
	r := &resolver{
		plan: s.plan, stage: s, lex: shell.NewLex(s.plan.escape), out: &Resolved{}, seen: newCaptured(s.plan.globalDoc, s.usedArgs),
		scope: scope{env: newVariables(), startInterval: s.BaseStartInterval},
	}
	r.root = newLinter(s.plan.check, &r.out.Warnings)
	if parent := s.Base.Stage; parent != nil && parent.scope != nil {
		r.scope = *parent.scope
		r.scope.env, r.scope.args = r.scope.env.clone(), slices.Clone(r.scope.args)
	}
	r.config = inherit(base)
	if base == nil {
		r.config = emptyConfig(s.plan.platform, !s.replaced)
	}
	return r
}

// triggers parses what ONBUILD of the base left, as instructions that stand where FROM stands.
func (r *resolver) triggers() ([]*parser.Node, error) {
	var out []*parser.Node
	for _, text := range r.config.Config.OnBuild {
		ast, err := parser.Parse(strings.NewReader(text))
		if err != nil {
			return nil, err
		}
		if len(ast.AST.Children) != 1 {
			return nil, errors.New("onbuild trigger should be a single expression")
		}
		node := ast.AST.Children[0]
		node.StartLine, node.EndLine = r.stage.Location.Start, r.stage.Location.End
		dropPodmanFields(node)
		protect(node)
		out = append(out, node)
	}
	r.config.Config.OnBuild = nil
	return out, nil
}

// enter sets the variables and the directory that the config of the base asks for.
func (r *resolver) enter() {
	c := &r.config.Config
	has := slices.ContainsFunc(c.Env, func(pair string) bool { return strings.HasPrefix(pair, "PATH=") })
	if !has && r.config.OS != "windows" {
		c.Env = append(c.Env, "PATH="+defaultPath)
	}
	for _, pair := range c.Env {
		name, value, _ := strings.Cut(pair, "=")
		r.scope.env.set(name, value)
	}
	if c.WorkingDir != "" {
		c.WorkingDir = absolute("/", c.WorkingDir)
	}
}

// finish adds what the command line asks of the target, and keeps what child stages inherit.
func (r *resolver) finish() *Resolved {
	c := r.config
	if r.stage == r.plan.Target {
		if len(r.plan.opts.Labels) > 0 && c.Config.Labels == nil {
			c.Config.Labels = map[string]string{}
		}
		maps.Copy(c.Config.Labels, r.plan.opts.Labels)
		r.setTargetPlatform()
	}
	r.out.Config, r.out.StartInterval = c, r.scope.startInterval
	r.stage.scope, r.stage.outline = &r.scope, r.seen
	return r.out
}

// setTargetPlatform writes the platform that was asked for into the config, in its normal form.
func (r *resolver) setTargetPlatform() {
	c, want := r.config, r.plan.platform
	if !r.plan.implicit {
		same := samePlatform(want, fromConfig(c))
		c.OS, c.Architecture = want.OS, want.Architecture
		if want.Variant != "" || !same {
			c.Variant = want.Variant
		}
		if want.OSVersion != "" || !same {
			c.OSVersion = want.OSVersion
		}
		if want.OSFeatures != nil {
			c.OSFeatures = slices.Clone(want.OSFeatures)
		}
	}
	n := normalPlatform(fromConfig(c))
	c.OS, c.Architecture, c.Variant = n.OS, n.Architecture, n.Variant
}

// instruction expands one instruction and does what it says.
func (r *resolver) instruction(node *parser.Node) error {
	r.lint = r.root.WithMergedConfigFromComments(node.PrevComment)
	// Parse has checked the text already, and said what its rules found. The instruction is read anew since expansion
	// writes into it.
	parsed, err := instructions.ParseInstructionWithLinter(node, linter.New(&linter.Config{}))
	if err != nil {
		return err
	}
	cmd, ok := parsed.(instructions.Command)
	if !ok {
		return fmt.Errorf("%s is no instruction of a stage", node.Value)
	}
	if err := r.expand(cmd); err != nil {
		return err
	}
	switch c := cmd.(type) {
	case *instructions.RunCommand:
		return r.run(c)
	case *instructions.CopyCommand:
		return r.copy(c)
	case *instructions.AddCommand:
		return r.add(c)
	case *instructions.WorkdirCommand:
		return r.workdir(c)
	case *instructions.ArgCommand:
		return r.arg(c)
	case *instructions.ExposeCommand:
		return r.expose(c)
	default:
		return r.configure(cmd)
	}
}

// expand replaces the variables of an instruction by the values from before it. ARG and EXPOSE do it on their own.
func (r *resolver) expand(cmd instructions.Command) error {
	if c, ok := cmd.(instructions.SupportsSingleWordExpansion); ok {
		if _, isArg := cmd.(*instructions.ArgCommand); !isArg {
			if err := c.Expand(func(word string) (string, error) { return r.word(word, r.lex, cmd) }); err != nil {
				return err
			}
		}
	}
	if c, ok := cmd.(instructions.SupportsSingleWordExpansionRaw); ok {
		lex := shell.NewLex('\\') // the bodies of heredocs know no other escape character
		lex.SkipProcessQuotes = true
		return c.ExpandRaw(func(word string) (string, error) { return r.word(word, lex, cmd) })
	}
	return nil
}
