package dockerfile

import (
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/shell"

	"github.com/gbuild/gbuild/internal/hint"
)

const epochName = "SOURCE_DATE_EPOCH"

func (p *Plan) setPlatforms() {
	build := normalPlatform(p.opts.BuildPlatform)
	p.opts.BuildPlatform = build
	p.platform = normalPlatform(p.opts.Platform)
	if p.opts.Platform.OS == "" && p.opts.Platform.Architecture == "" {
		p.implicit, p.platform = true, build
	}
}

// setGlobals evaluates the ARGs above the first FROM, over the predefined ones.
func (p *Plan) setGlobals(stages []instructions.Stage, globals []instructions.ArgCommand, lint *linter.Linter) error {
	lex := shell.NewLex(p.escape)
	target := p.opts.Target
	if target == "" {
		target = stages[len(stages)-1].Name
	}
	if target == "" {
		target = "default"
	}
	predefined := p.predefined(target)
	plain := predefined.clone()
	if _, err := evaluate(plain, globals, nil, lex, p); err == nil {
		p.lintDefaultBases(stages, plain, lex, lint)
	}
	p.global = predefined
	var err error
	p.globalDoc, err = evaluate(p.global, globals, p.args, lex, p)
	return err
}

// predefined are the ARGs that FROM knows without a line, and a stage after a bare ARG.
func (p *Plan) predefined(target string) *variables {
	b, t := p.opts.BuildPlatform, p.platform
	v := newVariables()
	for _, pair := range [][2]string{
		{"BUILDPLATFORM", formatPlatform(b, false)}, {"BUILDOS", b.OS}, {"BUILDOSVERSION", b.OSVersion},
		{"BUILDARCH", b.Architecture}, {"BUILDVARIANT", b.Variant},
		{"TARGETPLATFORM", formatPlatform(t, true)}, {"TARGETOS", t.OS}, {"TARGETOSVERSION", t.OSVersion},
		{"TARGETARCH", t.Architecture}, {"TARGETVARIANT", t.Variant}, {"TARGETSTAGE", target},
	} {
		if given, ok := p.args[pair[0]]; ok {
			pair[1] = given
		}
		v.set(pair[0], pair[1])
	}
	return v
}

// declaration is an ARG as --call=outline shows it.
type declaration struct {
	name, value, doc string
	location         Location
	deps             map[string]struct{} // ARGs that its default names
}

// evaluate sets the ARGs in order. A default is expanded only where no build argument takes its place, so that an error
// in one that is not used (${X:?}) does no harm.
func evaluate(v *variables, cmds []instructions.ArgCommand, given map[string]string, lex *shell.Lex, p *Plan) ([]declaration, error) {
	var out []declaration
	for i := range cmds {
		for _, arg := range cmds[i].Args {
			d := declaration{name: arg.Key, doc: arg.DocComment, location: locate(cmds[i].Location())}
			value, ok := given[arg.Key]
			if !ok && arg.Value != nil {
				match, err := p.expand(nil, lex, *arg.Value, v)
				if err != nil {
					return nil, p.fail(err, cmds[i].Location())
				}
				value, ok, d.deps = match.Result, true, match.Matched
			}
			if ok {
				v.set(arg.Key, value)
				d.value = value
			}
			out = append(out, d)
		}
	}
	return out, nil
}

// fromArgNames are the names that FROM may use without a warning.
func (p *Plan) fromArgNames() []string {
	names := p.global.Keys()
	for _, d := range p.globalDoc {
		names = append(names[:len(names):len(names)], d.name)
	}
	return names
}

// setEpoch reads SOURCE_DATE_EPOCH from the build arguments, else from a global ARG.
func (p *Plan) setEpoch(stages []instructions.Stage) error {
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
	if src, ok := p.namedContext(value, p.platform); ok {
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
			e := p.fail(err, nil).(*Error)
			e.Location = d.location
			return e
		}
	}
	return optionError{err}
}

// resolveEpochStage puts the stage into EpochSource, when setEpoch found its name.
func (p *Plan) resolveEpochStage() {
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

// proxies are the build arguments that reach every RUN without an ARG, as pairs in upper and in lower case.
func (p *Plan) proxies() []string {
	var out []string
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"} {
		value := ""
		for _, key := range sortedKeys(p.args) {
			if strings.EqualFold(key, name) {
				value = p.args[key]
			}
		}
		if value != "" {
			out = append(out, name+"="+value, strings.ToLower(name)+"="+value)
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
