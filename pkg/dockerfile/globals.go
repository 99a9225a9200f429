// This file owns what holds before the first FROM: the platforms of the build, the predefined ARGs, and those that the
// Dockerfile has there.

package dockerfile

import (
	"maps"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// setPlatforms finds the platforms of the build in their normal form.
func setPlatforms(p *Plan) {
	build := normalPlatform(p.opts.BuildPlatform)
	p.opts.BuildPlatform = build
	p.platform = normalPlatform(p.opts.Platform)
	if p.opts.Platform.OS == "" && p.opts.Platform.Architecture == "" {
		p.implicit, p.platform = true, build
	}
}

// setGlobals evaluates the ARGs above the first FROM, over the predefined ones.
func setGlobals(p *Plan, stages []instructions.Stage, globals []instructions.ArgCommand, lint *linter.Linter) error {
	target := p.opts.Target
	if target == "" {
		target = stages[len(stages)-1].Name
	}
	if target == "" {
		target = "default"
	}
	predefined := predefined(p, target)
	plain := predefined.clone()
	if _, err := evaluate(p, plain, globals, nil); err == nil {
		lintDefaultBases(p, stages, plain, lint)
	}
	p.global = predefined
	var err error
	p.globalDoc, err = evaluate(p, p.global, globals, p.args)
	return err
}

// predefined are the ARGs that FROM knows without a line of the Dockerfile. A stage knows them after an ARG that names them.
func predefined(p *Plan, target string) *variables {
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

// evaluate sets the ARGs in order. A default is expanded only where no build argument takes its place, so that an error
// in one that is not used (${X:?}) does no harm.
func evaluate(p *Plan, v *variables, cmds []instructions.ArgCommand, given map[string]string) ([]declaration, error) {
	lex := shell.NewLex(p.escape)
	var out []declaration
	for i := range cmds {
		for _, arg := range cmds[i].Args {
			d := declaration{name: arg.Key, doc: arg.DocComment, location: locate(cmds[i].Location())}
			value, ok := given[arg.Key]
			if !ok && arg.Value != nil {
				match, err := p.expanded.expand(nil, lex, *arg.Value, v)
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

// fromArgNames are the names that FROM may use without a warning: the ARGs that have a value, and those that the Dockerfile
// declares without one.
func fromArgNames(p *Plan) []string {
	names := p.global.Keys()
	for _, d := range p.globalDoc {
		names = append(names[:len(names):len(names)], d.name)
	}
	return names
}

// proxies are the build arguments that reach every RUN without an ARG, as pairs in upper and in lower case. They differ
// from machine to machine, so that nothing of an image may depend on them.
func proxies(args map[string]string) []string {
	var out []string
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"} {
		value := ""
		for _, key := range slices.Sorted(maps.Keys(args)) {
			if strings.EqualFold(key, name) {
				value = args[key]
			}
		}
		if value != "" {
			out = append(out, name+"="+value, strings.ToLower(name)+"="+value)
		}
	}
	return out
}
