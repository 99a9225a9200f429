// This file owns BuildKit's lint rules: how findings are collected, and those rules that its packages leave to their caller.

package dockerfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	"github.com/moby/buildkit/util/suggest"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// setChecks reads the check directive, or the build argument that takes its place.
func setChecks(p *Plan) error {
	value, given := p.args["BUILDKIT_DOCKERFILE_CHECK"]
	var at []parser.Range
	if !given {
		value, _, at, _ = parser.ParseDirective("check", p.Source)
	}
	check, err := linter.ParseLintOptions(value)
	if err != nil {
		err = fmt.Errorf("failed to parse check options: %w", err)
		if given {
			return optionError{err}
		}
		return p.fail(err, at)
	}
	p.check = check
	return nil
}

// newLinter returns a linter that adds what it finds to found.
func newLinter(check *linter.Config, found *[]Warning) *linter.Linter {
	config := *check
	config.Warn = func(rule, description, url, message string, at []parser.Range) {
		*found = append(*found, Warning{Rule: rule, Message: Redact(message), URL: url, Description: description, Location: locate(at),
			Hint: isHint(rule)})
	}
	return linter.New(&config)
}

// CheckError returns the error that "# check=error=true" makes of findings, or nil where there are none or it is not set.
func (p *Plan) CheckError(found []Warning) error {
	if !p.check.ReturnAsError {
		return nil
	}
	rules := map[string]bool{}
	for _, w := range found {
		if !w.Hint {
			rules[w.Rule] = true
		}
	}
	if len(rules) == 0 {
		return nil
	}
	names := strings.Join(slices.Sorted(maps.Keys(rules)), ", ")
	return p.fail(hint.Errorf("mend them, or skip rules with # check=skip=NAME at the top of the file",
		"lint violation found for rules: %s", names), nil)
}

// usualFrontend matches what asks for the language that is built in.
var usualFrontend = lazyregexp.New(`^docker/dockerfile(-upstream)?(:(latest|labs|master(-labs)?|1(\.\d+){0,2}(-labs)?))?$`)

// noteSyntax warns about a syntax directive that asks for another language, or for one fixed frontend image.
func noteSyntax(p *Plan, lint *linter.Linter) {
	frontend, at := p.args["BUILDKIT_SYNTAX"], []parser.Range(nil)
	if frontend == "" {
		frontend, _, at, _ = parser.DetectSyntax(p.Source)
	}
	if frontend == "" || usualFrontend().MatchString(familiar(frontend)) {
		return
	}
	syntaxIgnored.say(lint, at, frontend)
}

// lintContinuations reports what the parser found: empty lines inside of an instruction.
func lintContinuations(warnings []parser.Warning, lint *linter.Linter) {
	for _, w := range warnings {
		if w.URL == linter.RuleNoEmptyContinuation.URL && w.Location != nil {
			lint.Run(&linter.RuleNoEmptyContinuation, []parser.Range{*w.Location}, linter.RuleNoEmptyContinuation.Format())
		}
	}
}

// lintStageNames warns about names of stages that mean something else, or two stages.
func lintStageNames(stages []instructions.Stage, lint *linter.Linter) {
	seen := map[string]bool{"": true}
	for i := range stages {
		name, at := stages[i].Name, stages[i].Location
		if name == "scratch" || name == "context" {
			lint.Run(&linter.RuleReservedStageName, at, linter.RuleReservedStageName.Format(name))
		}
		if seen[name] && name != "" {
			lint.Run(&linter.RuleDuplicateStageName, at, linter.RuleDuplicateStageName.Format(name))
		}
		seen[name] = true
	}
}

// lintCasing asks that all instructions are written in the case of most of them.
func lintCasing(stages []instructions.Stage, lint *linter.Linter) {
	type word struct {
		text string
		at   []parser.Range
	}
	var words []word
	for i := range stages {
		words = append(words, word{stages[i].OrigCmd, stages[i].Location})
		for _, cmd := range stages[i].Commands {
			words = append(words, word{cmd.Name(), cmd.Location()})
		}
	}
	lower, upper := 0, 0
	for _, w := range words {
		switch w.text {
		case strings.ToLower(w.text):
			lower++
		case strings.ToUpper(w.text):
			upper++
		}
	}
	want, convert := "uppercase", strings.ToUpper
	if lower > upper {
		want, convert = "lowercase", strings.ToLower
	}
	for _, w := range words {
		if w.text != convert(w.text) {
			lint.Run(&linter.RuleConsistentInstructionCasing, w.at, linter.RuleConsistentInstructionCasing.Format(w.text, want))
		}
	}
}

// lintDefaultBases warns about a FROM that names nothing when no build argument is given.
func lintDefaultBases(p *Plan, stages []instructions.Stage, defaults *variables, lint *linter.Linter) {
	lex := shell.NewLex(p.escape)
	for i := range stages {
		match, err := p.expanded.expand(nil, lex, stages[i].BaseName, defaults)
		if err != nil {
			return
		}
		if _, err := parseReference(match.Result); err != nil {
			msg := linter.RuleInvalidDefaultArgInFrom.Format(stages[i].BaseName)
			lint.Run(&linter.RuleInvalidDefaultArgInFrom, stages[i].Location, msg)
		}
	}
}

// lintFromArgs warns about variables of a FROM that no ARG above it declares.
func lintFromArgs(known []string, unmatched map[string]struct{}, at []parser.Range, lint *linter.Linter) {
	for _, name := range slices.Sorted(maps.Keys(unmatched)) {
		if slices.Contains(known, name) {
			continue
		}
		near, _ := suggest.Search(name, known, true)
		lint.Run(&linter.RuleUndefinedArgInFrom, at, linter.RuleUndefinedArgInFrom.Format(name, near))
	}
}

// lintPlatformFlag warns about a --platform that says what is the default anyway, or one platform for good.
func lintPlatformFlag(st *instructions.Stage, match shell.ProcessWordResult, global *variables, lint *linter.Linter) {
	if len(match.Matched) == 1 && len(match.Unmatched) == 0 {
		target, _ := global.Get("TARGETPLATFORM")
		if _, ok := match.Matched["TARGETPLATFORM"]; ok && match.Result == target {
			lint.Run(&linter.RuleRedundantTargetPlatform, st.Location, linter.RuleRedundantTargetPlatform.Format(st.Platform))
		}
	}
	if len(match.Matched) > 0 || len(match.Unmatched) > 0 {
		return
	}
	platform, err := parsePlatform(match.Result)
	if err != nil || strings.Contains(st.Name, platform.OS) || strings.Contains(st.Name, platform.Architecture) {
		return // a wrong one fails later; a stage named for its platform means it
	}
	msg := linter.RuleFromPlatformFlagConstDisallowed.Format(match.Result)
	lint.Run(&linter.RuleFromPlatformFlagConstDisallowed, st.Location, msg)
}

// lintBasePlatform warns about a base for another platform than the stage asks for. A base that the machine's own platform
// chose by itself is none.
func lintBasePlatform(s *Stage, base *v1.ConfigFile, lint *linter.Linter) {
	if s.Base.Named || s.Base.Kind != FromImage || base == nil || s.plan.implicit && s.platform == nil && samePlatform(s.plan.opts.BuildPlatform, fromConfig(base)) {
		return
	}
	lintImagePlatform(s.Base, base, s.origin, lint)
}

// lintImagePlatform warns where the config of an image names another platform than its Source.
func lintImagePlatform(src Source, config *v1.ConfigFile, at []parser.Range, lint *linter.Linter) {
	if want, got := src.Platform, fromConfig(config); !samePlatform(want, got) {
		msg := linter.RuleInvalidBaseImagePlatform.Format(src.Name,
			formatPlatform(normalPlatform(want), true), formatPlatform(normalPlatform(got), true))
		lint.Run(&linter.RuleInvalidBaseImagePlatform, at, msg)
	}
}

// LintCopied returns the warnings about the image that a step copies from; config is that of the image.
func (p *Plan) LintCopied(c *Copy, config *v1.ConfigFile) (found []Warning) {
	if c.From.Kind == FromImage && !c.From.Named && !(p.implicit && samePlatform(p.opts.BuildPlatform, fromConfig(config))) {
		at := []parser.Range{{Start: parser.Position{Line: c.Location.Start}, End: parser.Position{Line: c.Location.End}}}
		lintImagePlatform(c.From, config, at, newLinter(p.check, &found))
	}
	return found
}

// Names that look like secrets, and the words that say that it is none. The lists are those of BuildKit's rule.
var (
	secretName = lazyregexp.New(`(?i)(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)`)
	publicName = lazyregexp.New(`(?i)(?:_|^)(?:public|file|version)(?:_|$)`)
)

// lintSecretName warns about an ARG or ENV whose name is that of a secret: the image shows its value.
func lintSecretName(instruction, name string, at []parser.Range, lint *linter.Linter) {
	if secretName().MatchString(name) && !publicName().MatchString(name) {
		lint.Run(&linter.RuleSecretsUsedInArgOrEnv, at, linter.RuleSecretsUsedInArgOrEnv.Format(instruction, name))
	}
}

// once warns when an instruction of which only the last counts is there twice; the finding is at the one that is lost.
type once struct {
	set bool
	at  []parser.Range
}

// mark notes an instruction, and warns if there was one before.
func (o *once) mark(cmd instructions.Command, lint *linter.Linter) {
	if o.set {
		msg := linter.RuleMultipleInstructionsDisallowed.Format(cmd.Name())
		lint.Run(&linter.RuleMultipleInstructionsDisallowed, o.at, msg)
	}
	o.set, o.at = true, cmd.Location()
}
