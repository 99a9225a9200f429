// This file owns what the instructions of one stage are resolved with: the state that they change, and the steps that all of
// them take.

package dockerfile

import (
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	"github.com/moby/buildkit/util/suggest"
)

// resolver walks the instructions of one stage.
type resolver struct {
	scope scope
	plan  *Plan
	stage *Stage
	lex   *shell.Lex

	// root is the linter of the file, lint that of the instruction: the comment above it may skip rules.
	root, lint *linter.Linter

	// config and out are the result, seen what the outline is made of.
	config *v1.ConfigFile
	out    *Resolved
	seen   *captured

	// onbuild says that the instruction is a trigger of the base.
	onbuild bool

	// These instructions count once in a stage.
	cmd, entrypoint, healthcheck once
}

// word expands a word of an instruction, and warns about variables that nothing has set.
func (r *resolver) word(word string, lex *shell.Lex, cmd instructions.Command) (string, error) {
	out, err := r.plan.expanded.expand(r.stage, lex, unprotect(word), r.scope.env)
	r.lintUnmatched(cmd, out.Unmatched)
	return out.Result, err
}

// lintUnmatched warns about variables that neither an ENV nor an ARG has made known.
func (r *resolver) lintUnmatched(cmd instructions.Command, unmatched map[string]struct{}) {
	for _, name := range slices.Sorted(maps.Keys(unmatched)) {
		declared := slices.ContainsFunc(r.scope.args, func(a argument) bool { return a.name == name })
		if declared || hiddenArgs[name] {
			continue
		}
		near, _ := suggest.Search(name, r.scope.env.Keys(), true)
		r.lint.Run(&linter.RuleUndefinedVar, cmd.Location(), linter.RuleUndefinedVar.Format(name, near))
	}
}

// title is an instruction as a progress display shows it, without the credentials in its addresses.
func (r *resolver) title(text string, lex *shell.Lex, env shell.EnvGetter) string {
	if out, err := r.plan.expanded.expand(r.stage, lex, text, env); err == nil {
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

// hiddenArgs are build arguments for the builder: declared or not, no process sees them.
var hiddenArgs = map[string]bool{"BUILDKIT_SBOM_SCAN_CONTEXT": true, "BUILDKIT_SBOM_SCAN_STAGE": true}
