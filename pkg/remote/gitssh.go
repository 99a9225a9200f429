// This file owns git over ssh: whose agent and keys it uses, and which hosts it knows.
// Git over ssh proves who somebody is: so a Dockerfile gets it by --ssh only.

package remote

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gbuild/gbuild/internal/hint"
)

// SSHGrant is what ssh may prove who the caller is with. Without one no repository is fetched by ssh.
type SSHGrant struct {
	agent string     // its socket; may be empty
	keys  []string   // files
	only  *gitRemote // the one host that it is for; nil: all
}

// GrantOf is what --ssh default grants.
func GrantOf(socket string) *SSHGrant {
	if socket == "" {
		return nil
	}
	return &SSHGrant{agent: socket}
}

// OwnGrant is for an address that the user gave on the command line: as his own ssh would, it uses his agent or, where
// there is none, his keys. It is for the host of that address: the repository could name others.
func (g *GitSource) OwnGrant(environ []string) *SSHGrant {
	grant := &SSHGrant{agent: variable(environ, "SSH_AUTH_SOCK"), only: g.at}
	for _, kind := range []string{"rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk"} {
		file := filepath.Join(variable(environ, "HOME"), ".ssh", "id_"+kind)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			grant.keys = append(grant.keys, file)
		}
	}
	return grant
}

// variable is the last value that a variable was given.
func variable(environ []string, name string) (value string) {
	for _, v := range environ {
		if found, ok := strings.CutPrefix(v, name+"="); ok {
			value = found
		}
	}
	return value
}

// sshFor is what git gets to run ssh with. It is an error where the remote needs ssh and nothing is granted for it.
func (o Fetcher) sshFor(at *gitRemote) ([]string, error) {
	if at.scheme != "ssh" {
		return []string{"GIT_SSH_COMMAND=/bin/false"}, nil
	}
	if o.SSH == nil || o.SSH.only != nil && !o.SSH.only.sameHost(at) {
		return nil, fmt.Errorf("git of %s: %w", at, MissingAgent("default"))
	}
	env := []string{"GIT_SSH_VARIANT=ssh", gitSSHVar + "=" + strings.Join(o.sshOptions(), "\n")}
	if o.SSH.agent != "" {
		env = append(env, "SSH_AUTH_SOCK="+o.SSH.agent)
	}
	return env, nil
}

// sshOptions are those of an ssh without the configuration of anyone. The home directory is the user's by HOME: in a user
// namespace ssh would look for that of root. A host that is known by another key is refused; one that is not known is taken
// as it is, as BuildKit does, but no file learns of it. No shell sees them: there may be none.
func (o Fetcher) sshOptions() []string {
	options := []string{"BatchMode=yes", "StrictHostKeyChecking=accept-new", "UpdateHostKeys=no", "ForwardAgent=no"}
	known := "UserKnownHostsFile=/dev/null"
	for _, name := range []string{"known_hosts", "known_hosts2"} {
		if file, ok := sshPath(filepath.Join(variable(o.Environ, "HOME"), ".ssh", name)); ok {
			known += " " + file
		}
	}
	options = append(options, known)
	for _, key := range o.SSH.keys {
		if file, ok := sshPath(key); ok {
			options = append(options, "IdentityFile="+file)
		}
	}
	if len(o.SSH.keys) == 0 {
		options = append(options, "IdentityFile=none")
	}
	return options
}

// sshPath writes the name of a file as an option of ssh has it, which is a line here. It is false for names that cannot be
// written there.
func sshPath(name string) (string, bool) {
	if !filepath.IsAbs(name) || strings.ContainsAny(name, "\"'\\\n") {
		return "", false
	}
	return `"` + strings.ReplaceAll(name, "%", "%%") + `"`, true
}

// noteNewHosts says which hosts ssh did not know.
func (o Fetcher) noteNewHosts(said string) {
	for line := range strings.Lines(said) {
		rest, ok := strings.CutPrefix(line, "Warning: Permanently added '")
		host, _, found := strings.Cut(rest, "'")
		if ok && found && o.Notice != nil && o.Fetched.first("ssh "+host) {
			o.Notice("the host key of " + host + " is in no known_hosts file, so it was not compared with anything")
		}
	}
}

// MissingAgent says that the command line lacks an ssh agent that is required.
func MissingAgent(id string) error {
	return hint.Errorf(fmt.Sprintf("give it with --ssh %s, while SSH_AUTH_SOCK names an agent", id), "ssh agent %q: not found", id)
}
