package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/envfile"
	"github.com/gbuild/gbuild/pkg/container"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// containerEnv puts the environment together; what comes later wins: the image's, the proxies of Docker's config.json, files, --env.
func (a *app) containerEnv(o *runOptions, c *v1.Config, hostname string) ([]string, error) {
	env := []string{"PATH=" + defaultPath, "HOSTNAME=" + hostname}
	if o.tty {
		env = append(env, "TERM=xterm")
	}
	env = append(env, c.Env...)
	proxies, err := a.environ.dockerProxies()
	if err != nil {
		return nil, err
	}
	for name, value := range proxies {
		env = append(env, name+"="+value, strings.ToLower(name)+"="+value)
	}
	list, err := o.receiveEnvFiles()
	if err != nil {
		return nil, err
	}
	env = append(env, list...)
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

// readEnvFiles reads --env-file and --dotenv. That is done once, by the process that the user started: such a file may be
// a pipe, as of <(...), which the processes that follow do not have.
func (a *app) readEnvFiles(o *runOptions, read fileReader) ([]string, error) {
	env := []string{}
	for _, name := range o.envFiles {
		list, err := a.envFile(name, read)
		if err != nil {
			return nil, err
		}
		env = append(env, list...)
	}
	for _, name := range o.dotenv {
		text, err := readEnvFile(name, read)
		if err != nil {
			return nil, err
		}
		list, err := envfile.ParseDotenv(name, text, a.lookup)
		if err != nil {
			return nil, err
		}
		env = append(env, list...)
	}
	return env, nil
}

// envFD is the descriptor that hands on what the files say, if there are any; it follows the lock.
const envFD = lockFD + 1

func (o *runOptions) hasEnvFiles() bool { return len(o.envFiles)+len(o.dotenv) > 0 }

// keepEnvFiles reads the files into memory that the processes that follow can read, and that is on no disk.
func (a *app) keepEnvFiles(o *runOptions, read fileReader) error {
	if !o.hasEnvFiles() {
		return nil
	}
	env, err := a.readEnvFiles(o, read)
	if err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("env", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("keeping what the env files say: %w", err)
	}
	o.fileEnv = os.NewFile(uintptr(fd), "env")
	return json.NewEncoder(o.fileEnv).Encode(env)
}

// takeEnvFiles takes over what an earlier process read, to hand it on.
func (o *runOptions) takeEnvFiles() {
	if o.hasEnvFiles() {
		syscall.CloseOnExec(envFD)
		o.fileEnv = os.NewFile(envFD, "env")
	}
}

// inherited are the files that a process for the container gets, from descriptor 3 on.
func (o *runOptions) inherited(c *container.Container) []*os.File {
	if o.fileEnv == nil {
		return []*os.File{c.Lock()}
	}
	return []*os.File{c.Lock(), o.fileEnv}
}

// receiveEnvFiles is what the files say.
func (o *runOptions) receiveEnvFiles() (env []string, err error) {
	if o.fileEnv == nil {
		o.takeEnvFiles()
	}
	if o.fileEnv == nil {
		return nil, nil
	}
	defer o.fileEnv.Close()
	err = json.NewDecoder(io.NewSectionReader(o.fileEnv, 0, math.MaxInt64)).Decode(&env)
	return env, err
}

func (a *app) envFile(name string, read fileReader) ([]string, error) {
	text, err := readEnvFile(name, read)
	if err != nil {
		return nil, err
	}
	list, warnings, err := envfile.ParseDocker(name, text, a.lookup)
	for _, w := range warnings {
		fmt.Fprintf(a.stderr, "gbuild: warning: %s\n", w)
	}
	return list, err
}

func readEnvFile(name string, read fileReader) ([]byte, error) {
	text, err := read(name)
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
