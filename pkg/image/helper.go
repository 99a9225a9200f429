// This file asks credential helpers, which are programs of their own.

package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// helperTimeout is how long a credential helper may think; some open a browser, none may hang a build.
const helperTimeout = 30 * time.Second

// helperGrammar keeps the name of a helper from being a path.
var helperGrammar = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// errNoHelper says that a program is not there.
var errNoHelper = errors.New("is not installed")

// hubServer is what helpers know Docker Hub by.
const hubServer = "https://" + hubHost + "/v1/"

// helperAnswer is what docker-credential-X prints for `get`.
type helperAnswer struct {
	ServerURL string
	Username  string
	Secret    string
}

// askHelper asks docker-credential-NAME for one host. It returns nil without an error when the helper knows none.
func askHelper(ctx context.Context, helper, host string) (*credential, error) {
	if !helperGrammar().MatchString(helper) {
		return nil, fmt.Errorf("%q is no name of a credential helper", helper)
	}
	out, err := runHelper(ctx, helper, host)
	if err != nil || out == nil {
		return nil, err
	}
	var a helperAnswer
	if err := json.Unmarshal(out, &a); err != nil || a.Secret == "" {
		return nil, fmt.Errorf("docker-credential-%s printed no credentials", helper)
	}
	// A helper that answers for another host must not have its password sent to this one (CVE-2021-41092).
	if a.ServerURL != "" && hostOf(a.ServerURL) != hubAlias(host) {
		return nil, fmt.Errorf("docker-credential-%s answered for %s", helper, hostOf(a.ServerURL))
	}
	if a.Username == "<token>" {
		return &credential{config: authn.AuthConfig{IdentityToken: a.Secret}}, nil
	}
	return &credential{config: authn.AuthConfig{Username: a.Username, Password: a.Secret}}, nil
}

// runHelper returns what the helper printed, or nil when it said that it has no credentials.
func runHelper(ctx context.Context, helper, host string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	if host == hubHost {
		host = hubServer
	}
	cmd := exec.CommandContext(ctx, "docker-credential-"+helper, "get")
	cmd.Stdin = strings.NewReader(host)
	// A grandchild may keep the pipe open after the helper was killed.
	cmd.WaitDelay = time.Second
	var stdout answerBuffer
	cmd.Stdout = &stdout
	err := cmd.Run()
	text := strings.TrimSpace(stdout.kept.String())
	var exit *exec.ExitError
	switch {
	case stdout.over:
		return nil, fmt.Errorf("docker-credential-%s printed more than %d MiB", helper, maxHelperAnswer>>20)
	case err == nil:
		return append([]byte{}, stdout.kept.Bytes()...), nil // It is never nil: a helper that prints nothing has not answered.
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("docker-credential-%s did not answer within %s", helper, helperTimeout)
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("the credential helper docker-credential-%s %w", helper, errNoHelper)
	case errors.As(err, &exit) && strings.Contains(text, "credentials not found"):
		return nil, nil
	}
	return nil, fmt.Errorf("running docker-credential-%s: %w", helper, err)
}

// answerBuffer keeps what a helper prints, and refuses more than an answer has. It has none of the other methods of its
// buffer: io.Copy would take ReadFrom.
type answerBuffer struct {
	kept bytes.Buffer
	over bool
}

const maxHelperAnswer = 1 << 20

// Write implements io.Writer.
func (b *answerBuffer) Write(p []byte) (int, error) {
	if b.over = b.kept.Len()+len(p) > maxHelperAnswer; b.over {
		return 0, io.ErrShortWrite
	}
	return b.kept.Write(p)
}

// hostOf is the host of a URL, or of a key that has none.
func hostOf(key string) string {
	if _, rest, ok := strings.Cut(key, "://"); ok {
		key = rest
	}
	host, _, _ := strings.Cut(key, "/")
	return hubAlias(host)
}
