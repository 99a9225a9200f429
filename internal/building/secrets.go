// This file owns the credentials that a build lends: secrets and ssh agents.

package building

import (
	"cmp"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/build"
)

// Credentials name secrets and ssh agents. A Dockerfile gets those that it asks for by their ids.
type Credentials struct {
	// Files or variables, which are read now: a missing one is an error before anything runs.
	Secrets []string
	// Agents, or key files for which one is started.
	SSH []string
}

// Flags has the words of docker build.
func (f *Credentials) Flags(flags *pflag.FlagSet) {
	flags.Var((*cli.List)(&f.Secrets), "secret", "id=ID[,src=FILE|,env=NAME]: for RUN --mount=type=secret (repeatable)")
	flags.Var((*cli.List)(&f.SSH), "ssh", "default|ID[=SOCKET[,raw=true]|KEY[,KEY]]: an ssh agent for RUN --mount=type=ssh and, as default, for git in ADD (repeatable)")
}

// credentials are what a build is lent, by ids.
type credentials struct {
	secrets, agents map[string]build.Secret
	// Ends the agents that were started; nil where there are none.
	stop func()
}

// open reads the secrets, and finds or starts the agents.
func (f *Credentials) open(environ cli.Environment, read cli.FileReader) (c credentials, err error) {
	if c.secrets, err = readSecrets(f.Secrets, environ, read); err != nil {
		return c, err
	}
	c.agents, c.stop, err = sshAgents(f.SSH, environ, read)
	return c, err
}

// close ends the agents that were started.
func (c credentials) close() {
	if c.stop != nil {
		c.stop()
	}
}

// secret is the value of a secret, for what a build fetches.
func (c credentials) secret(id string) ([]byte, bool) {
	s, ok := c.secrets[id]
	return s.Data, ok
}

// readSecrets reads the values now: a missing file is an error before anything runs.
func readSecrets(words []string, environ cli.Environment, read cli.FileReader) (map[string]build.Secret, error) {
	secrets := map[string]build.Secret{}
	for _, s := range words {
		fields, err := cli.Fields(s)
		if err != nil {
			return nil, cli.Usagef("--secret: %w", err)
		}
		id, data, err := readSecret(fields, environ, read)
		if err != nil {
			return nil, err
		}
		secrets[id] = build.Secret{Data: data}
	}
	return secrets, nil
}

// readSecret reads one --secret, whose value is a file's or a variable's.
func readSecret(fields map[string]string, environ cli.Environment, read cli.FileReader) (string, []byte, error) {
	id, file, env := fields["id"], cmp.Or(fields["src"], fields["source"]), fields["env"]
	for k := range fields {
		switch k {
		case "id", "src", "source", "env", "type":
		default:
			return "", nil, cli.Usagef("--secret: unknown key %q; it is id=ID[,src=FILE|,env=NAME]", k)
		}
	}
	if t := fields["type"]; t != "" && t != "file" && t != "env" {
		return "", nil, cli.Usagef("--secret: type=%s: it is file or env", t)
	}
	if id == "" {
		return "", nil, cli.Usagef("--secret: id is missing; it is id=ID[,src=FILE|,env=NAME]")
	}
	if fields["type"] == "env" && env == "" {
		env = cmp.Or(file, id)
	}
	if file == "" && env == "" { // as buildx: a variable of that name, else a file
		if value, ok := environ(id); ok && fields["type"] != "file" {
			return id, []byte(value), nil
		}
		file = id
	}
	if env != "" {
		value, ok := environ(env)
		if !ok {
			return "", nil, hint.Errorf("export it before gbuild starts", "secret %s: the variable %s is not set", id, env)
		}
		return id, []byte(value), nil
	}
	data, err := read(file)
	if err != nil {
		return "", nil, fmt.Errorf("reading secret %s: %w", id, err)
	}
	return id, data, nil
}
