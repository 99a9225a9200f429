// This file gives the errors of a registry, and of the way to it, their types and their hints.

package image

import (
	"errors"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// typed gives an error from a registry its type. An error that has one already keeps it.
func typed(err error, ref, host, tried string) error {
	var status *transport.Error
	var hinted interface{ Hint() string }
	var config *ConfigError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &config):
		return config // Plain http, which is tried on loopback then, fails for another reason.
	case errors.As(err, &hinted):
		return err
	case !errors.As(err, &status):
		return &RegistryError{ref, host, 0, remedyOf(err), err}
	}
	code := status.StatusCode
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return &UnauthorizedError{ref, host, code, tried, err}
	case http.StatusNotFound:
		return &NotFoundError{Ref: ref, Err: err}
	}
	remedy := remedies[code]
	if cause := remedyOf(err); cause != "" && code != http.StatusConflict && code != http.StatusTooManyRequests {
		// Https failed, and then plain http, which is tried on loopback, met a status: the first is the cause.
		return &RegistryError{ref, host, 0, cause, err}
	}
	if code >= 500 {
		remedy = "the registry failed several times in a row: try again later"
	}
	return &RegistryError{ref, host, code, remedy, err}
}

// remedies are hints for what a registry answers to a request that it understood.
var remedies = map[int]string{
	http.StatusConflict:              "the tag is immutable in this registry: push under another tag",
	http.StatusTooManyRequests:       "the registry limits requests: log in for a higher limit, use a mirror, or try later",
	http.StatusRequestEntityTooLarge: "the registry, or a proxy before it, refuses layers of this size",
}

// plainAnswer is what net/http says when there is no TLS at a port.
const plainAnswer = "server gave HTTP response to HTTPS client"

// isUntrusted says that TLS failed at a certificate, or was refused.
func isUntrusted(text string) bool {
	return strings.Contains(text, "x509:") || strings.Contains(text, "tls:")
}

// remedyOf reads the few network errors that a user can mend. They have no types: crypto/tls and net/http make them
// as text.
func remedyOf(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, plainAnswer):
		return "the registry speaks plain http: allow it with --insecure"
	case strings.Contains(text, "tls: certificate required"):
		return "the registry wants a certificate of yours: put client.cert and client.key into certs.d (docs/push-and-save.md)"
	case isUntrusted(text):
		return "the registry's certificate is not trusted here: put its CA into certs.d (docs/push-and-save.md), name it with SSL_CERT_FILE, or allow it with --insecure"
	case strings.Contains(text, "no such host"):
		return "check the spelling of the host, and the name server of this machine"
	case strings.Contains(text, "connection refused"):
		return "nothing listens there: check host and port"
	}
	return ""
}

// IsImmutable says whether a registry refused a push since its tags are not to be changed. Registries have no code for that in
// common, but all say this word.
func IsImmutable(err error) bool {
	var said *transport.Error
	return errors.As(err, &said) && said.StatusCode >= 400 && said.StatusCode < 500 && strings.Contains(strings.ToLower(said.Error()), "immutab")
}
