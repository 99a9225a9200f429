// This file owns credentials that can say where they are from.

package image

import (
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
)

// credential is an Authenticator that knows where it is from, so that a refusal can say what was tried.
type credential struct {
	config authn.AuthConfig
	source string
}

// Authorization implements authn.Authenticator.
func (c *credential) Authorization() (*authn.AuthConfig, error) {
	config := c.config
	return &config, nil
}

// String names the user and the source, and no secret.
func (c *credential) String() string {
	if c.config.Username == "" {
		return "the token from " + c.source
	}
	return fmt.Sprintf("user %q from %s", c.config.Username, c.source)
}

// triedOf describes credentials of any origin.
func triedOf(a authn.Authenticator) string {
	if c, ok := a.(*credential); ok {
		return c.String()
	}
	if a == nil || a == authn.Anonymous {
		return ""
	}
	return "the given credentials"
}
