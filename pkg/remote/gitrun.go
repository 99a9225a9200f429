// This file owns how git is called: with which environment, and what of its errors is passed on.
// Git gets an environment of its own, without the configuration of the user or of the machine.

package remote

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gbuild/gbuild/internal/hint"
)

// git runs git on what is in dir. It can fetch from nowhere, and knows no credentials.
func (o Fetcher) git(ctx context.Context, at *gitRemote, dir string, args ...string) (string, error) {
	out, _, err := runGit(ctx, at, dir, append(o.gitEnv("none"), configEnv(nil)...), args)
	return out, err
}

// gitFetch runs a git that fetches from the remote, and can speak no other protocol. Its credentials are neither among
// the arguments nor in a file.
func (o Fetcher) gitFetch(ctx context.Context, at *gitRemote, dir string, args ...string) (string, error) {
	ssh, err := o.sshFor(at)
	if err != nil {
		return "", err
	}
	guard, err := o.guardGit(at)
	if err != nil {
		return "", err
	}
	defer guard.close()
	protocols := at.scheme
	if at.scheme == "http" {
		protocols = "http:https" // such a server may redirect to either
	}
	bounds := o.Bounds.orDefault()
	env := slices.Concat(o.gitEnv(protocols), ssh, configEnv(at, bounds.gitConfig()...))
	ctx, stop := bounds.watchPacks(ctx, dir)
	defer stop()
	out, said, err := runGit(ctx, at, dir, guard.env(env), args)
	if large := new(SizeError); err != nil && errors.As(context.Cause(ctx), &large) {
		return "", fmt.Errorf("git %s of %s: %w", args[0], at, large)
	}
	if refused := guard.refusal(); err != nil && refused != nil {
		return "", fmt.Errorf("git %s of %s: %w", args[0], at, refused)
	}
	o.noteNewHosts(said)
	return out, err
}

// runGit runs git, and returns what it said on standard output and on standard error.
func runGit(ctx context.Context, at *gitRemote, dir string, env, args []string) (out, said string, err error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	if cmd.Err != nil {
		return "", "", hint.Errorf("install git, or fetch the files before the build", "git is not installed")
	}
	cmd.Dir, cmd.Env = dir, env
	cmd.WaitDelay = 5 * time.Second
	var text, stderr boundedBuffer
	cmd.Stdout, cmd.Stderr = &text, &stderr
	err = cmd.Run()
	said = at.hide(strings.TrimSpace(stderr.kept.String()))
	switch {
	case text.over || stderr.over:
		err = fmt.Errorf("git %s of %s printed more than %d MiB", args[0], at, maxGitOutput>>20)
	case err != nil:
		err = fmt.Errorf("git %s of %s: %w: %s", args[0], at, err, said)
	}
	return text.kept.String(), said, err
}

// hide takes what is secret out of a text of the server: it could say again what it was told.
func (r *gitRemote) hide(text string) string {
	_, encoded, _ := strings.Cut(cmp.Or(r.auth, r.late), " ")
	secrets := []string{r.given, encoded}
	if pair, err := base64.StdEncoding.DecodeString(encoded); err == nil {
		user, password, _ := strings.Cut(string(pair), ":")
		secrets = append(secrets, cmp.Or(password, user))
	}
	for _, secret := range secrets {
		if secret != "" && secret != r.address {
			text = strings.ReplaceAll(text, secret, "xxxxx")
		}
	}
	return text
}

// passed are the variables that git may have from the environment of the build.
var passed = []string{"PATH", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy",
	"no_proxy", "all_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_EXEC_PATH"}

// gitEnv keeps the user's and the machine's configuration, hooks and prompts out.
func (o Fetcher) gitEnv(protocols string) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/dev/null", "XDG_CONFIG_HOME=/dev/null", "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=/bin/false",
		"GIT_LITERAL_PATHSPECS=1", "GIT_ALLOW_PROTOCOL=" + protocols, "GIT_LFS_SKIP_SMUDGE=1"}
	for _, v := range o.Environ {
		if name, _, _ := strings.Cut(v, "="); slices.Contains(passed, name) {
			env = append(env, v)
		}
	}
	return env
}

// configEnv is the configuration of git, for a remote if it is not nil, as variables: other users can read the arguments of a process, and everyone who
// has the image the configuration in a .git that is kept.
func configEnv(at *gitRemote, more ...[2]string) []string {
	config := [][2]string{{"core.hooksPath", "/dev/null"}, {"core.fsmonitor", "false"}, {"core.autocrlf", "false"},
		{"core.protectHFS", "true"}, {"core.protectNTFS", "true"}, {"core.logAllRefUpdates", "false"},
		{"init.templateDir", ""}, {"advice.detachedHead", "false"}, {"gc.auto", "0"}}
	if at != nil && at.auth != "" {
		config = append(config, [2]string{"http." + at.scheme + "://" + at.host + "/.extraHeader", "Authorization: " + at.auth})
	}
	if at != nil && (at.auth != "" || at.late != "") {
		config = append(config, [2]string{"http.followRedirects", "false"})
	}
	config = append(config, more...)
	env := []string{"GIT_CONFIG_COUNT=" + strconv.Itoa(len(config))}
	for i, c := range config {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, c[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, c[1]))
	}
	return env
}
