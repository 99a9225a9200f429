package dockerfile

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	"github.com/moby/buildkit/util/suggest"
)

// Resolved is a stage with all that its base said about it.
type Resolved struct {
	Steps    []Step
	Config   *v1.ConfigFile // of the image: History is the base's and one entry for each instruction, Created left zero
	Warnings []Warning

	// StartInterval is the health check's, for which v1.HealthConfig has no field. MarshalConfig writes it.
	StartInterval time.Duration
}

// scope is what a stage leaves to the stages that are built on it, beside its config.
type scope struct {
	env           *variables
	args          []argument
	workdirSet    bool
	aptKeeps      bool // something has told apt to keep packages
	startInterval time.Duration
}

// argument is an ARG that a stage declared; value is nil when nothing gives it one.
type argument struct {
	name  string
	value *string
}

// resolver walks the instructions of one stage.
type resolver struct {
	scope
	plan   *Plan
	stage  *Stage
	lex    *shell.Lex
	root   *linter.Linter // of the file
	lint   *linter.Linter // of the instruction: the comment above it may skip rules
	config *v1.ConfigFile
	out    *Resolved
	seen   *captured

	onbuild                      bool // the instruction is a trigger of the base
	cmd, entrypoint, healthcheck once
}

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

func (s *Stage) newResolver(base *v1.ConfigFile) *resolver {
	s.plan.expanded.restart(s)
	r := &resolver{
		plan: s.plan, stage: s, lex: shell.NewLex(s.plan.escape), out: &Resolved{}, seen: newCaptured(s),
		scope: scope{env: newVariables(), startInterval: s.BaseStartInterval},
	}
	r.root = s.plan.linter(&r.out.Warnings)
	if parent := s.Base.Stage; parent != nil && parent.scope != nil {
		r.scope = *parent.scope
		r.env, r.args = r.env.clone(), slices.Clone(r.args)
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

// defaultPath is the PATH of an image that has none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// enter sets the variables and the directory that the config of the base asks for.
func (r *resolver) enter() {
	c := &r.config.Config
	has := slices.ContainsFunc(c.Env, func(pair string) bool { return strings.HasPrefix(pair, "PATH=") })
	if !has && r.config.OS != "windows" {
		c.Env = append(c.Env, "PATH="+defaultPath)
	}
	for _, pair := range c.Env {
		name, value, _ := strings.Cut(pair, "=")
		r.env.set(name, value)
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
	r.out.Config, r.out.StartInterval = c, r.startInterval
	r.stage.scope, r.stage.outline = &r.scope, r.seen
	return r.out
}

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

func (r *resolver) word(word string, lex *shell.Lex, cmd instructions.Command) (string, error) {
	out, err := r.plan.expand(r.stage, lex, unprotect(word), r.env)
	r.lintUnmatched(cmd, out.Unmatched)
	return out.Result, err
}

// lintUnmatched warns about variables that neither an ENV nor an ARG has made known.
func (r *resolver) lintUnmatched(cmd instructions.Command, unmatched map[string]struct{}) {
	for _, name := range slices.Sorted(maps.Keys(unmatched)) {
		declared := slices.ContainsFunc(r.args, func(a argument) bool { return a.name == name })
		if declared || hiddenArgs[name] {
			continue
		}
		near, _ := suggest.Search(name, r.env.Keys(), true)
		r.lint.Run(&linter.RuleUndefinedVar, cmd.Location(), linter.RuleUndefinedVar.Format(name, near))
	}
}

// title is an instruction as a progress display shows it, without the credentials in its addresses.
func (r *resolver) title(text string, lex *shell.Lex, env shell.EnvGetter) string {
	if out, err := r.plan.expand(r.stage, lex, text, env); err == nil {
		text = out.Result
	}
	name, rest, ok := strings.Cut(text, " ")
	text = strings.ToUpper(name)
	if ok {
		text += " " + rest
	}
	if r.onbuild {
		text = "ONBUILD " + text
	}
	return Redact(text)
}

// commit adds an entry to the history and returns its index. Whoever has the image reads it: credentials stay out.
func (r *resolver) commit(createdBy string, layer bool) int {
	r.plan.expanded.add(r.stage, len(createdBy))
	r.config.History = append(r.config.History, v1.History{
		CreatedBy: Redact(createdBy), Comment: "buildkit.dockerfile.v0", EmptyLayer: !layer,
	})
	return len(r.config.History) - 1
}
