// This file owns the command of a container: its words, its user, its environment and its terminal. What the command line
// says comes before what the image says. No value of a variable is shown, not even in a warning: many are secrets.

package main

import (
	"cmp"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/envfile"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// runProcess is the room of the command itself, as docker and its users think of it.
type runProcess struct {
	args                          []string // follow the image on the command line
	env, envFiles, dotenv         []string
	user, workdir, entrypoint     string
	entrypointGiven               bool
	interactive, tty, underReaper bool
}

// add registers the flags, which are docker's, but for --dotenv.
func (p *runProcess) add(f *pflag.FlagSet) {
	f.BoolVarP(&p.interactive, "interactive", "i", false, "pass standard input on")
	f.BoolVarP(&p.tty, "tty", "t", false, "give the command a terminal")
	f.VarP((*cli.List)(&p.env), "env", "e", "NAME=VALUE, or NAME to pass the caller's (repeatable)")
	f.Var((*cli.List)(&p.envFiles), "env-file", "file of NAME=VALUE lines, read as docker does (repeatable)")
	f.Var((*cli.List)(&p.dotenv), "dotenv", "file of NAME=VALUE lines with quotes and comments, read as compose does (repeatable)")
	f.StringVarP(&p.user, "user", "u", "", "user (name or uid[:gid])")
	f.StringVarP(&p.workdir, "workdir", "w", "", "working directory")
	f.StringVar(&p.entrypoint, "entrypoint", "", "command instead of the image's ENTRYPOINT")
	f.BoolVar(&p.underReaper, "init", false, "run the command under a first process that passes signals on and waits for orphans")
}

// fill says what is executed, and where. The environment and the user need more of the sandbox, and come later.
func (p *runProcess) fill(box *runtime.Sandbox, config *v1.Config) error {
	box.Args, box.Dir, box.Reaper = p.words(config), cmp.Or(p.workdir, config.WorkingDir, "/"), p.underReaper
	if len(box.Args) == 0 {
		return hint.Errorf("give one after the image's name", "the image has no command")
	}
	return nil
}

// words are the command: what the image says, but for what is given. Who gives an entrypoint takes the image's default
// arguments away, too, and an empty one takes the entrypoint away.
func (p *runProcess) words(c *v1.Config) []string {
	args := p.args
	if p.entrypointGiven {
		if p.entrypoint == "" {
			return args
		}
		return append([]string{p.entrypoint}, args...)
	}
	if len(args) == 0 {
		args = c.Cmd
	}
	return append(append([]string{}, c.Entrypoint...), args...)
}

// defaultPath is docker's, for images that name none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// fillEnv puts the environment together; what comes later wins: the image's, the proxies of Docker's config.json, files, --env.
func (p *runProcess) fillEnv(box *runtime.Sandbox, c *v1.Config, a *cli.App) error {
	env := []string{"PATH=" + defaultPath, "HOSTNAME=" + box.Hostname}
	if p.tty {
		env = append(env, "TERM=xterm")
	}
	env = append(env, c.Env...)
	proxies, err := a.Environ.DockerProxies()
	if err != nil {
		return err
	}
	for name, value := range proxies {
		// Some programs read only the upper case name, others (curl) only the lower one.
		env = append(env, name+"="+value, strings.ToLower(name)+"="+value)
	}
	// Files were read by an earlier process: see readEnvFiles.
	env = append(env, a.Handed.FileEnv...)
	for _, e := range p.env {
		if strings.HasPrefix(e, "=") || e == "" {
			return cli.Usagef("invalid environment variable: %s", e)
		}
	}
	box.Env = append(env, passed(p.env, a.Environ)...)
	return nil
}

// passed are the variables of --env: those with a value, and those that the caller has.
func passed(words []string, environ cli.Environment) (env []string) {
	for _, e := range words {
		if value, ok := environ(e); !strings.Contains(e, "=") && ok {
			e += "=" + value
		}
		if strings.Contains(e, "=") {
			env = append(env, e)
		}
	}
	return env
}

// readEnvFiles reads --env-file and --dotenv. That is done once, by the process that the user started: such a file may be
// a pipe, as of <(...), which the processes that follow do not have.
func (p *runProcess) readEnvFiles(a *cli.App, read cli.FileReader) (env []string, err error) {
	for _, name := range p.envFiles {
		text, err := readEnvFile(name, read)
		if err != nil {
			return nil, err
		}
		list, warnings, err := envfile.ParseDocker(name, text, a.Lookup)
		for _, w := range warnings {
			fmt.Fprintf(a.Stderr, "gbuild: warning: %s\n", w)
		}
		if err != nil {
			return nil, err
		}
		env = append(env, list...)
	}
	for _, name := range p.dotenv {
		text, err := readEnvFile(name, read)
		if err != nil {
			return nil, err
		}
		// This format has no warnings: a line that cannot be read is an error.
		list, err := envfile.ParseDotenv(name, text, a.Lookup)
		if err != nil {
			return nil, err
		}
		env = append(env, list...)
	}
	return env, nil
}

// readEnvFile names the kind of the file in its errors; the file may be a pipe.
func readEnvFile(name string, read cli.FileReader) ([]byte, error) {
	text, err := read(name)
	if err != nil {
		return nil, fmt.Errorf("reading env file: %w", err)
	}
	return text, nil
}
