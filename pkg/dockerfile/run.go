// This file owns RUN: its arguments, flags, environment and history.

package dockerfile

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"

	"github.com/gbuild/gbuild/internal/hint"
)

// scriptDir is where the script of a heredoc with #! can be seen during its RUN.
const scriptDir = "/dev/pipes/"

// run makes the step of a RUN.
func (r *resolver) run(cmd *instructions.RunCommand) error {
	step := &Run{
		Dir: path.Join("/", r.config.Config.WorkingDir), User: r.config.Config.User,
		ProxyEnv: proxies(r.plan.args), Hostname: hostname(r.plan.args),
	}
	text := cmd.String()
	args, err := runArgs(cmd, step)
	if err != nil {
		return err
	}
	if len(cmd.Files) > 0 && parser.MustParseHeredoc(cmd.CmdLine[0]) != nil {
		text += " (" + firstLine(cmd.Files[0].Data) + ")"
	}
	if cmd.PrependShell {
		args = r.withShell(args)
	}
	if len(args) == 0 {
		return hint.Errorf("give RUN a command", "RUN requires at least one argument")
	}
	step.Args = args
	if err := r.runFlags(cmd, step); err != nil {
		return err
	}
	step.Env = r.runEnv(step.Mounts)
	step.meta = Meta{
		Location: locate(cmd.Location()), Title: r.title(text, r.rawLex(), maskSecrets(r.scope.env, step.Mounts)),
		History: r.commit("RUN "+r.runHistory(args)+" # buildkit", true),
	}
	r.out.Steps = append(r.out.Steps, step)
	r.hints(cmd, step)
	return nil
}

// hints looks at the RUN, unless the line is another file's.
func (r *resolver) hints(cmd *instructions.RunCommand, step *Run) {
	if r.onbuild {
		return
	}
	h := newHinter(r.stage, step, r.scope.env)
	h.say = func(rule *hintRule, what string) { rule.say(r.lint, cmd.Location(), what) }
	r.scope.aptKeeps = h.hint(r.scope.aptKeeps)
}

// runArgs returns the command without the shell. A single heredoc is the script itself; one that is part of a longer
// line is put together again for the shell.
func runArgs(cmd *instructions.RunCommand, step *Run) ([]string, error) {
	if len(cmd.Files) == 0 {
		return cmd.CmdLine, nil
	}
	if len(cmd.CmdLine) != 1 || !cmd.PrependShell {
		return nil, fmt.Errorf("parsing produced an invalid run command: %v", cmd.CmdLine)
	}
	if parser.MustParseHeredoc(cmd.CmdLine[0]) == nil {
		line := cmd.CmdLine[0]
		for _, file := range cmd.Files {
			line += "\n" + file.Data + file.Name
		}
		return []string{line}, nil
	}
	file := cmd.Files[0]
	if file.Chomp {
		file.Data = parser.ChompHeredocContent(file.Data)
	}
	if !strings.HasPrefix(file.Data, "#!") {
		return []string{file.Data}, nil
	}
	script := path.Join(scriptDir, file.Name)
	step.Files = append(step.Files, File{Path: script, Data: []byte(file.Data)})
	return []string{script}, nil
}

// firstLine is what a title shows of a heredoc.
func firstLine(text string) string {
	line, _, more := strings.Cut(strings.TrimSpace(text), "\n")
	line = strings.TrimSuffix(line, "\r")
	if more {
		line += "..."
	}
	return line
}

// rawLex leaves a command as it is written but for variables that have a value.
func (r *resolver) rawLex() *shell.Lex {
	lex := shell.NewLex(r.plan.escape)
	lex.RawQuotes, lex.RawEscapes, lex.SkipUnsetEnv = true, true, true
	return lex
}

// maskSecrets hides the variables that a secret sets: their value is not known here, and is not to be looked for.
func maskSecrets(env *variables, mounts []Mount) shell.EnvGetter {
	over := map[string]string{}
	for _, m := range mounts {
		if m.Type == MountSecret && m.Env != "" {
			over[m.Env] = "****"
		}
	}
	return withDefaults{env, over}
}

// runFlags adds what --mount, --network, --security and --device ask for.
func (r *resolver) runFlags(cmd *instructions.RunCommand, step *Run) error {
	mounts, err := r.mounts(cmd)
	if err != nil {
		return err
	}
	step.Mounts = mounts
	if s := instructions.GetSecurity(cmd); s == instructions.SecurityInsecure {
		step.Security = "insecure"
	}
	switch n := instructions.GetNetwork(cmd); n {
	case instructions.NetworkNone, instructions.NetworkHost:
		step.Network = n
	default:
		step.Network = r.plan.opts.Network
	}
	if step.Network == "default" || step.Network == "private" {
		step.Network = ""
	}
	for _, d := range instructions.GetDevices(cmd) {
		if d.Name == "" {
			return errors.New("--device names no device")
		}
		step.Devices = append(step.Devices, Device{Name: d.Name, Required: d.Required})
	}
	return nil
}

// runEnv is the environment of the process, with the socket of an ssh mount.
func (r *resolver) runEnv(mounts []Mount) []string {
	env := r.scope.env
	i := slices.IndexFunc(mounts, func(m Mount) bool { return m.Type == MountSSH })
	if _, ok := env.Get("SSH_AUTH_SOCK"); i >= 0 && !ok {
		env = env.clone()
		env.set("SSH_AUTH_SOCK", mounts[i].Target)
	}
	list := env.list()
	for _, pair := range list {
		r.plan.expanded.add(r.stage, len(pair))
	}
	return list
}

// runHistory is the command with the ARGs that were declared before it, as BuildKit writes it: |N NAME=VALUE ... COMMAND.
func (r *resolver) runHistory(args []string) string {
	known := newVariables()
	var order []string
	for _, a := range r.scope.args {
		value, ok := r.scope.env.Get(a.name)
		if !ok && a.value != nil {
			value = *a.value
		}
		if _, again := known.Get(a.name); !again {
			order = append(order, a.name)
		}
		known.set(a.name, value)
	}
	var words []string
	if len(order) > 0 {
		words = append(words, fmt.Sprintf("|%d", len(order)))
	}
	for _, name := range order {
		value, _ := known.Get(name)
		words = append(words, name+"="+value)
	}
	return strings.Join(append(words, args...), " ")
}

// hostname is that of the sandboxes of all RUNs.
func hostname(args map[string]string) string {
	return cmp.Or(args["BUILDKIT_SANDBOX_HOSTNAME"], "buildkitsandbox")
}
