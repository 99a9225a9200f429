// This file distinguishes a registry that is out of reach, silent or in trouble from one that answers, even with a refusal.

package image

import (
	"errors"
	"net"
	"net/http"
	"reflect"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/gbuild/gbuild/pkg/image/wire"
)

// IsAbsence says that an error is the silence of a registry: there is no way to it, nothing answers in time, or it is in trouble
// (5xx) or too busy (429). Whatever else goes wrong is an answer, of the registry or of this machine's own configuration: a login
// that fails, a certificate that is not trusted, a manifest that is none. Where several places failed, each must be absent.
func IsAbsence(err error) bool {
	for e := err; e != nil; e = errors.Unwrap(e) {
		switch e := e.(type) { //nolint:errorlint // The loop walks the chain, and each link counts for itself.
		case *RegistryError:
			if e.Status != 0 {
				return isTrouble(e.Status)
			}
		case interface{ Hint() string }:
			return false
		case *transport.Error:
			return isTrouble(e.StatusCode)
		case interface{ Unwrap() []error }:
			return allAbsent(e.Unwrap())
		}
		if list := bothOf(e); list != nil {
			return allAbsent(withoutPlain(list))
		}
	}
	return err != nil && isSilence(err)
}

// bothOf reads the slice in which ggcr returns what went wrong with https and with plain http.
func bothOf(err error) []error {
	v, list := reflect.ValueOf(err), reflect.TypeFor[[]error]()
	if v.Kind() != reflect.Slice || !v.CanConvert(list) {
		return nil
	}
	return v.Convert(list).Interface().([]error)
}

// isTrouble tells a status that says nothing about the request: the registry fails, or has no time for anybody.
func isTrouble(status int) bool {
	return status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout
}

// allAbsent says that there are errors, and each of them is absence.
func allAbsent(list []error) bool {
	for _, err := range list {
		if !IsAbsence(err) {
			return false
		}
	}
	return len(list) > 0
}

// withoutPlain drops the error of https where the registry speaks plain http. On loopback both are tried, and the other error is
// the one that says what is wrong.
func withoutPlain(list []error) (rest []error) {
	for _, err := range list {
		if len(list) == 1 || !strings.Contains(err.Error(), plainAnswer) {
			rest = append(rest, err)
		}
	}
	return rest
}

// isSilence says whether an error of the network means that nobody answered. Some of these errors have no type, so their text is
// read.
func isSilence(err error) bool {
	var dns *net.DNSError
	var timeout net.Error
	text := err.Error()
	switch {
	case isUntrusted(text) || strings.Contains(text, plainAnswer):
		return false
	case errors.As(err, &dns), errors.As(err, &timeout) && timeout.Timeout(), wire.Passing(err):
		return true
	}
	for _, no := range []error{syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN,
		syscall.EADDRNOTAVAIL, syscall.ETIMEDOUT} {
		if errors.Is(err, no) {
			return true
		}
	}
	// A proxy that has no way to the registry says so with a status, of which net/http leaves the text.
	for _, status := range []int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout} {
		if strings.HasSuffix(text, ": "+http.StatusText(status)) {
			return true
		}
	}
	return false
}
