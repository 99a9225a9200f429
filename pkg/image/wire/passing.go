// This file distinguishes failures that may be over at the next try from those that will not.

package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// StatusOf is the status that a registry answered with, or zero where the error is no answer.
func StatusOf(err error) int {
	var status *transport.Error
	if errors.As(err, &status) {
		return status.StatusCode
	}
	return 0
}

// PassingStatus tells answers that may be others at the next try.
func PassingStatus(status int) bool {
	return slices.Contains([]int{http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}, status)
}

// Passing tells failures of the network that may be gone at the next try.
func Passing(err error) bool {
	var dns *net.DNSError
	var timeout net.Error
	var broken *cutError
	var bound *boundError
	switch {
	case errors.As(err, &bound):
		return false
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.As(err, &broken) || endedByServer(err):
		return true
	case errors.As(err, &dns):
		return dns.IsTemporary || dns.IsTimeout
	case errors.As(err, &timeout) && timeout.Timeout():
		return true
	}
	return isAny(err, errStalled, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED)
}

// isAny says whether an error is one of several.
func isAny(err error, all ...error) bool {
	return slices.ContainsFunc(all, func(one error) bool { return errors.Is(err, one) })
}

// errStalled is the cause of a request that was given up because nothing moved.
var errStalled = errors.New("no data moved for too long")

// streamEnd is the form that net/http gives the reset of an HTTP/2 stream to whoever asks for it by errors.As.
type streamEnd struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

// Error implements error.
func (e streamEnd) Error() string {
	return fmt.Sprintf("stream %d ended with code %d", e.StreamID, e.Code)
}

// endedByServer sees that a server ended an HTTP/2 stream, or a connection. What ends a connection has no type.
func endedByServer(err error) bool {
	var stream streamEnd
	text := err.Error()
	return errors.As(err, &stream) || strings.Contains(text, "http2: ") || strings.Contains(text, "connection error: ") ||
		strings.Contains(text, "server closed idle connection")
}

// cutError says that an answer broke off. How the connection ended does not matter (HTTP/2 alone has a dozen ways): what came is
// compared with a digest, so the rest can be asked for again.
type cutError struct{ error }

// Unwrap returns how the connection ended.
func (e *cutError) Unwrap() error { return e.error }

// Cut marks the error of a body as one after which the body can be asked for again.
func Cut(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &cutError{err}
}

// boundError says that an answer is too long. It is an answer: asking again would give the same, and the registry is not absent.
type boundError struct{ error }
