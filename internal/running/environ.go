// This file owns the environment of a command: what the image, docker's configuration, files and -e say. No value of a variable
// is shown, not even in a warning: many are secrets.

package running

import (
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/envfile"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// defaultPath is docker's, for images that name none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// fillEnv puts the environment together; what comes later wins: the image's, the proxies of Docker's config.json, files, --env.
func (p *Process) fillEnv(box *runtime.Sandbox, c *v1.Config, a *cli.App) error {
	env := []string{"PATH=" + defaultPath, "HOSTNAME=" + box.Hostname}
	if p.TTY {
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
	for _, e := range p.Env {
		if strings.HasPrefix(e, "=") || e == "" {
			return cli.Usagef("invalid environment variable: %s", e)
		}
	}
	for _, e := range p.Env {
		// A name alone that the caller has no value for takes away what the image says. A value of another flag stays.
		if _, given := a.Lookup(e); !strings.Contains(e, "=") && !given {
			env = slices.DeleteFunc(env, func(have string) bool { return strings.HasPrefix(have, e+"=") })
		}
	}
	// Files were read by an earlier process: see readEnvFiles.
	box.Env = slices.Concat(env, a.Handed.FileEnv, a.Environ.Passed(p.Env))
	return nil
}

// readEnvFiles reads --env-file and --dotenv. That is done once, by the process that the user started: such a file may be
// a pipe, as of <(...), which the processes that follow do not have.
func (p *Process) readEnvFiles(a *cli.App, read cli.FileReader) (env []string, err error) {
	for _, name := range p.EnvFiles {
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
	for _, name := range p.Dotenv {
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
