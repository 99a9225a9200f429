// This file owns ARG and WORKDIR inside of a stage.

package dockerfile

import (
	"path"
	"strings"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
)

// arg declares ARGs. The value is the build argument's, else the default's, else the global ARG's, else there is none. The
// history shows it, so that a secret has no place in one.
func (r *resolver) arg(cmd *instructions.ArgCommand) error {
	var texts []string
	for _, a := range cmd.Args {
		lintSecretName("ARG", a.Key, cmd.Location(), r.lint)
		value, err := r.argValue(cmd, a)
		if err != nil {
			return err
		}
		text := a.Key
		if value != nil {
			text += "=" + *value
			if !hiddenArgs[a.Key] {
				r.scope.env.set(a.Key, *value)
			}
		}
		r.scope.args = append(r.scope.args, argument{a.Key, value})
		texts = append(texts, text)
	}
	r.commit("ARG "+strings.Join(texts, " "), false)
	return nil
}

// argValue finds the value of an ARG; nil where there is none.
func (r *resolver) argValue(cmd *instructions.ArgCommand, a instructions.KeyValuePairOptional) (*string, error) {
	given, isGiven := r.plan.args[a.Key]
	global, isGlobal := r.plan.global.Get(a.Key)
	var value *string
	switch {
	case isGiven:
		value = &given
	case a.Value != nil:
		word, err := r.word(*a.Value, r.lex, cmd)
		if err != nil {
			return nil, err
		}
		value = &word
	case isGlobal:
		value = &global
	}
	r.seen.declare(a, value, cmd, !isGiven && a.Value == nil && isGlobal)
	return value, nil
}

// workdir sets the directory and makes a step that creates it.
func (r *resolver) workdir(cmd *instructions.WorkdirCommand) error {
	if !r.scope.workdirSet && !path.IsAbs(cmd.Path) {
		r.lint.Run(&linter.RuleWorkdirRelativePath, cmd.Location(), linter.RuleWorkdirRelativePath.Format(cmd.Path))
	}
	r.scope.workdirSet = true
	c := &r.config.Config
	c.WorkingDir = absolute(c.WorkingDir, cmd.Path)
	dir := c.WorkingDir
	if dir == "/" {
		r.commit("WORKDIR /", false)
		return nil
	}
	step := &Mkdir{Path: path.Clean(dir), User: c.User}
	if e := r.plan.Epoch; e != nil {
		t := time.Unix(*e, 0).UTC()
		step.Time = &t
	}
	step.meta = Meta{
		Location: locate(cmd.Location()), Title: r.title(cmd.String(), r.lex, r.scope.env),
		History: r.commit("WORKDIR "+dir, true),
	}
	r.out.Steps = append(r.out.Steps, step)
	return nil
}

// absolute joins a relative path to the directory, as WORKDIR does: an absolute one stays as it is written.
func absolute(dir, p string) string {
	switch {
	case path.IsAbs(p):
		return p
	case p == "" && path.IsAbs(dir):
		return dir
	}
	return path.Join("/", dir, p)
}
