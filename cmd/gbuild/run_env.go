package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/runtime"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// containerEnv puts the environment together; what comes later wins: the image's, files, --env.
func (a *app) containerEnv(o *runOptions, c *v1.Config, hostname string) ([]string, error) {
	env := []string{"PATH=" + defaultPath, "HOSTNAME=" + hostname}
	if o.tty {
		env = append(env, "TERM=xterm")
	}
	env = append(env, c.Env...)
	for _, name := range o.envFiles {
		list, err := a.envFile(name)
		if err != nil {
			return nil, err
		}
		env = append(env, list...)
	}
	for _, name := range o.dotenv {
		text, err := a.readEnvFile(name)
		if err != nil {
			return nil, err
		}
		list, err := runtime.ParseDotenv(name, text, a.lookup)
		if err != nil {
			return nil, err
		}
		env = append(env, list...)
	}
	for _, e := range o.env {
		name, _, given := strings.Cut(e, "=")
		if name == "" {
			return nil, usagef("invalid environment variable: %s", e)
		}
		if value, ok := a.lookup(e); !given && ok {
			env = append(env, e+"="+value)
		} else if given {
			env = append(env, e)
		}
	}
	return env, nil
}

func (a *app) envFile(name string) ([]string, error) {
	text, err := a.readEnvFile(name)
	if err != nil {
		return nil, err
	}
	list, warnings, err := runtime.ParseEnvFile(name, text, a.lookup)
	for _, w := range warnings {
		fmt.Fprintf(a.stderr, "gbuild: warning: %s\n", w)
	}
	return list, err
}

// maxEnvFile is far above what the kernel takes as an environment.
const maxEnvFile = 8 << 20

func (a *app) readEnvFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading env file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxEnvFile))
	if err != nil {
		return nil, fmt.Errorf("reading env file: %w", err)
	}
	return text, nil
}

func envValue(env []string, name string) (string, bool) {
	value, found := "", false
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value, found = v, true
		}
	}
	return value, found
}
