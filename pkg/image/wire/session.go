// This file owns the login at a registry: when it is made, for which scopes, and when it has to be made again.

package wire

import (
	"context"
	"net/http"
	"strings"
	"sync"
)

// session is the login at one registry. It asks for a token that also names the repositories that layers may be mounted from; a
// registry that refuses it for that gets a request for its own repository alone, since a mount only saves an upload.
type session struct {
	login func(ctx context.Context, scopes []string) (http.RoundTripper, error)
	hello *greetings

	mu     sync.Mutex
	scopes []string // Our own comes first, and then those to mount from.
	in     *entrance
}

// entrance is the result of a login.
type entrance struct {
	through http.RoundTripper
	wide    bool // Its token names more than our own repository.
	open    bool // The registry greeted somebody whom it does not know.
}

// enter logs in if nobody has.
func (s *session) enter(ctx context.Context) (*entrance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in != nil {
		return s.in, nil
	}
	t, err := s.login(ctx, s.scopes)
	if err != nil && len(s.scopes) > 1 && isRefusal(StatusOf(err)) {
		s.scopes = s.scopes[:1]
		t, err = s.login(ctx, s.scopes)
	}
	if err != nil {
		return nil, err
	}
	s.in = &entrance{t, len(s.scopes) > 1, s.hello.status("https") == http.StatusOK || s.hello.status("http") == http.StatusOK}
	return s.in, nil
}

// leave has the next request log in again, if nobody did since.
func (s *session) leave(in *entrance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in == in {
		s.in = nil
	}
}

// known says whether somebody logged in.
func (s *session) known() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in != nil
}

// RoundTrip implements http.RoundTripper.
func (s *session) RoundTrip(r *http.Request) (*http.Response, error) {
	in, err := s.enter(r.Context())
	if err != nil {
		return nil, err
	}
	resp, err := in.through.RoundTrip(r)
	again := err == nil && s.challenged(in, r, resp) || s.narrow(in, r, resp, err)
	if !again || !rewindable(r) {
		return resp, err
	}
	if resp != nil {
		drain(resp)
	}
	if in, err = s.enter(r.Context()); err != nil {
		return nil, err
	}
	return in.through.RoundTrip(r)
}

// narrow gives up the scopes to mount from where a token with them is refused, and says whether to send the request again. A mount
// that is not allowed is no sign of that, as long as there still is a token. ggcr's transport adds what a challenge names to its
// scopes for good, so after a refused token there must be another one.
func (s *session) narrow(in *entrance, r *http.Request, resp *http.Response, err error) bool {
	mount := r.URL.Query().Get("mount") != ""
	if err != nil && !isRefusal(StatusOf(err)) {
		return false
	}
	if err == nil && (mount || !in.wide || resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusForbidden) {
		return false
	}
	s.mu.Lock()
	s.scopes = s.scopes[:1]
	s.mu.Unlock()
	s.leave(in)
	return !mount && in.wide
}

// challenged notices a registry that greets everybody, and wants a token only for some requests.
func (s *session) challenged(in *entrance, r *http.Request, resp *http.Response) bool {
	wants := strings.ToLower(resp.Header.Get("WWW-Authenticate"))
	if !in.open || resp.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(wants, "bearer ") {
		return false
	}
	s.hello.keep(r, resp, nil)
	s.leave(in)
	return true
}

// isRefusal says that a server understood the request and refuses it, so that the same request again would be refused, too.
func isRefusal(status int) bool {
	return status >= 400 && status < 500 && status != http.StatusTooManyRequests
}

// rewindable says whether a request can be sent again: retrier opens its body anew.
func rewindable(r *http.Request) bool {
	return r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
}
