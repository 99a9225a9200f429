// This file owns the command of a container: its words, its user and its terminal. What the command line says comes before what
// the image says.

package running

import (
	"cmp"
	"io"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// Process is the part about the command itself, as docker and its users think of it.
type Process struct {
	Args                      []string // follow the image on the command line
	Env, EnvFiles, Dotenv     []string
	User, Workdir, Entrypoint string
	Groups                    []string // further ones of the user, or keepGroups
	// EntrypointGiven tells an empty entrypoint, which takes the image's away, from none.
	EntrypointGiven  bool
	Interactive, TTY bool
	Init             bool // under a first process that waits for orphans
}

// Flags registers the flags, which are docker's, but for --dotenv.
func (p *Process) Flags(f *pflag.FlagSet) {
	f.BoolVarP(&p.Interactive, "interactive", "i", false, "pass standard input on")
	f.BoolVarP(&p.TTY, "tty", "t", false, "give the command a terminal")
	f.VarP((*cli.List)(&p.Env), "env", "e", "NAME=VALUE, or NAME to pass the caller's (repeatable)")
	f.Var((*cli.List)(&p.EnvFiles), "env-file", "file of NAME=VALUE lines, read as docker does (repeatable)")
	f.Var((*cli.List)(&p.Dotenv), "dotenv", "file of NAME=VALUE lines with quotes and comments, read as compose does (repeatable)")
	f.StringVarP(&p.User, "user", "u", "", "user (name or uid[:gid])")
	f.Var((*cli.List)(&p.Groups), "group-add", "further group of the user (name or number), or keep-groups for your own (repeatable)")
	f.StringVarP(&p.Workdir, "workdir", "w", "", "working directory")
	f.StringVar(&p.Entrypoint, "entrypoint", "", "command instead of the image's ENTRYPOINT")
	f.BoolVar(&p.Init, "init", false, "run the command under a first process that passes signals on and waits for orphans")
}

// fill says what is executed, and where. The environment and the user need more of the sandbox, and come later.
func (p *Process) fill(box *runtime.Sandbox, config *v1.Config) error {
	box.Args, box.Dir, box.Reaper = p.words(config), cmp.Or(p.Workdir, config.WorkingDir, "/"), p.Init
	if len(box.Args) == 0 {
		return hint.Errorf("give one after the image's name", "the image has no command")
	}
	return nil
}

// keepGroups is podman's word for the groups of the caller.
const keepGroups = "keep-groups"

// fillGroups adds groups to those of the user.
func (p *Process) fillGroups(box *runtime.Sandbox, open func(string) (io.ReadCloser, error)) error {
	if slices.Contains(p.Groups, keepGroups) {
		if len(p.Groups) > 1 {
			return cli.Usagef("--group-add %s keeps your own groups, and has no other --group-add beside it", keepGroups)
		}
		box.KeepGroups = true
		return nil
	}
	ids, err := runtime.LookupGroups(open, p.Groups)
	if err != nil {
		return hint.Errorf("give its number, as of this host: --group-add $(getent group NAME | cut -d: -f3); or --group-add keep-groups for your own groups", "--group-add: %w", err)
	}
	for _, id := range ids {
		if !slices.Contains(box.Groups, id) {
			box.Groups = append(box.Groups, id)
		}
	}
	return nil
}

// words are the command: what the image says, but for what is given. Who gives an entrypoint takes the image's default
// arguments away, too, and an empty one takes the entrypoint away.
func (p *Process) words(c *v1.Config) []string {
	args := p.Args
	if p.EntrypointGiven {
		if p.Entrypoint == "" {
			return args
		}
		return append([]string{p.Entrypoint}, args...)
	}
	if len(args) == 0 {
		args = c.Cmd
	}
	return append(append([]string{}, c.Entrypoint...), args...)
}
