package image

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// NotFoundError says that an image, or the name of one inside a layout or an archive, does not exist.
type NotFoundError struct {
	Ref  string
	Have []string // names that do exist there, where that is known
	Err  error
}

// Error implements error.
func (e *NotFoundError) Error() string { return fmt.Sprintf("image %s not found", e.Ref) }

// Unwrap returns what the registry or the file system said.
func (e *NotFoundError) Unwrap() error { return e.Err }

// Hint names what is there, or asks for the spelling.
func (e *NotFoundError) Hint() string {
	if len(e.Have) > 0 {
		return "it holds: " + strings.Join(e.Have, ", ")
	}
	return "check the spelling of host, repository and tag; many registries also say \"not found\" to those who may not see an image"
}

// UnauthorizedError says that a registry refused the credentials (401) or what they may do (403).
type UnauthorizedError struct {
	Ref    string
	Host   string
	Status int
	Tried  string // which credentials, and where they are from; never a secret
	Err    error
}

// Error implements error.
func (e *UnauthorizedError) Error() string {
	verb := "needs a login"
	switch {
	case e.Status == http.StatusForbidden:
		verb = "refused access"
	case e.Tried != "":
		verb = "refused the credentials"
	}
	return fmt.Sprintf("%s: %s %s (%d)", e.Ref, e.Host, verb, e.Status)
}

// Unwrap returns the registry's answer.
func (e *UnauthorizedError) Unwrap() error { return e.Err }

// Hint says which credentials were tried.
func (e *UnauthorizedError) Hint() string {
	if e.Tried == "" {
		return fmt.Sprintf("no credentials were found for %s: log in with `docker login %s`, or check the name (a missing image looks the same to a stranger)", e.Host, e.Host)
	}
	return fmt.Sprintf("tried %s: log in again with `docker login %s`, or ask for access to the repository", e.Tried, e.Host)
}

// PlatformError says that an image does not exist for a platform.
type PlatformError struct {
	Ref  string
	Want v1.Platform
	Have []v1.Platform
}

// Error implements error.
func (e *PlatformError) Error() string {
	return fmt.Sprintf("%s has no image for %s", e.Ref, e.Want.String())
}

// Hint lists the platforms that exist.
func (e *PlatformError) Hint() string {
	if len(e.Have) == 0 {
		return "the index lists no image at all"
	}
	var have []string
	for _, p := range e.Have {
		have = append(have, p.String())
	}
	return "it exists for " + strings.Join(have, ", ") + "; choose one with --platform"
}

// RegistryError says that a registry failed or refused a request for another reason than the caller's rights.
type RegistryError struct {
	Ref    string
	Host   string
	Status int // 0 when there was no answer
	Remedy string
	Err    error
}

// Error implements error.
func (e *RegistryError) Error() string {
	if e.Status == 0 {
		return fmt.Sprintf("%s: talking to %s: %s", e.Ref, e.Host, shortened(e.Err.Error()))
	}
	return fmt.Sprintf("%s: %s answered %d: %s", e.Ref, e.Host, e.Status, shortened(e.Err.Error()))
}

// shortened leaves out the end of a long text: an error page can have pages.
func shortened(text string) string {
	const most = 1000
	if len(text) <= most {
		return text
	}
	return fmt.Sprintf("%s … (%d bytes more)", text[:most], len(text)-most)
}

// Unwrap returns the cause.
func (e *RegistryError) Unwrap() error { return e.Err }

// Hint says what may help.
func (e *RegistryError) Hint() string { return e.Remedy }

// FormatError says that what was found is not an image that gbuild can use.
type FormatError struct {
	Ref    string
	Reason string
	Remedy string
}

// Error implements error.
func (e *FormatError) Error() string { return e.Ref + ": " + e.Reason }

// Hint says what may help.
func (e *FormatError) Hint() string { return e.Remedy }

// DigestError says that bytes are not those that their digest promises.
type DigestError struct {
	What      string
	Want, Got string
}

// Error implements error.
func (e *DigestError) Error() string {
	return fmt.Sprintf("%s is corrupt: wanted %s, got %s", e.What, e.Want, e.Got)
}

// Hint says what a wrong digest means.
func (e *DigestError) Hint() string {
	return "the registry, a proxy before it, or the file holds other bytes than it says; try again, or get the image from elsewhere"
}

// statusOf is the status that a registry answered with, or zero.
func statusOf(err error) int {
	var status *transport.Error
	if errors.As(err, &status) {
		return status.StatusCode
	}
	return 0
}

// explain gives an error from a registry its type. An error that has one already keeps it.
func explain(err error, ref, host, tried string) error {
	var status *transport.Error
	var hinted interface{ Hint() string }
	var config *ConfigError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &config):
		return config // plain http, which is tried on loopback then, fails for another reason
	case errors.As(err, &hinted):
		return err
	case !errors.As(err, &status):
		return &RegistryError{ref, host, 0, remedyOf(err), err}
	}
	switch status.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return &UnauthorizedError{ref, host, status.StatusCode, tried, err}
	case http.StatusNotFound:
		return &NotFoundError{Ref: ref, Err: err}
	case http.StatusConflict:
		return &RegistryError{ref, host, status.StatusCode, "the tag is immutable in this registry: push under another tag", err}
	case http.StatusTooManyRequests:
		return &RegistryError{ref, host, status.StatusCode, "the registry limits requests: log in for a higher limit, use a mirror, or try later", err}
	}
	switch remedy := remedyOf(err); {
	case remedy != "":
		// Https failed, and then plain http, which is tried on loopback, met a status: the first is the cause.
		return &RegistryError{ref, host, 0, remedy, err}
	case status.StatusCode >= 500:
		return &RegistryError{ref, host, status.StatusCode, "the registry failed several times in a row: try again later", err}
	case status.StatusCode == http.StatusRequestEntityTooLarge:
		return &RegistryError{ref, host, status.StatusCode, "the registry, or a proxy before it, refuses layers of this size", err}
	}
	return &RegistryError{ref, host, status.StatusCode, "", err}
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
