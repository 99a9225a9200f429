// This file has the errors that callers may tell apart. All others are text with a hint. How an error of a registry gets its type
// is in typed.go.

package image

import (
	"fmt"
	"net/http"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// noRemedy is the hint of an error that nobody here knows a remedy for. It still is an error with a hint: IsAbsence and typed
// take each of those for a final answer.
const noRemedy = ""

// NotFoundError says that an image, or the name of one inside a layout or an archive, does not exist.
type NotFoundError struct {
	Ref string
	// Have are the names that do exist there, where that is known.
	Have []string
	// Err is what the registry or the file system said. It may be nil.
	Err error
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
	// Tried says which credentials were sent, and where they are from. It never has a secret, and is empty where there were none.
	Tried string
	Err   error
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
	// Have are the platforms that the image does exist for.
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
	Ref  string
	Host string
	// Status is that of the answer. It is zero when there was none.
	Status int
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

// DigestError says that bytes are not those that their digest promises.
type DigestError struct {
	// What names the bytes: a reference and their part in it.
	What string
	// Want and Got are two digests, or two sizes.
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

// ConfigError says that a file of Docker's or of the container tools' settings cannot be used.
type ConfigError struct {
	Path string
	Err  error
}

// Error implements error.
func (e *ConfigError) Error() string { return fmt.Sprintf("reading %s: %v", e.Path, e.Err) }

// Unwrap returns the cause.
func (e *ConfigError) Unwrap() error { return e.Err }

// Hint names the file.
func (e *ConfigError) Hint() string { return "mend or remove " + e.Path }
