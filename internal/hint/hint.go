// Package hint gives an error what its reader can do about it. The command line prints it below the error. An error type
// that knows its remedy by itself has a method Hint() string; all other errors get theirs by Wrap or Errorf.
package hint

import (
	"errors"
	"fmt"
)

// hinted adds a hint to an error, and nothing to its message.
type hinted struct {
	err  error
	text string
}

// Error implements error.
func (h *hinted) Error() string { return h.err.Error() }

// Unwrap gives the error without the hint.
func (h *hinted) Unwrap() error { return h.err }

// Hint says what the reader can do.
func (h *hinted) Hint() string { return h.text }

// Wrap adds a hint to an error, whose message stays the same. No error stays none.
func Wrap(err error, text string) error {
	if err == nil {
		return nil
	}
	return &hinted{err, text}
}

// Errorf makes an error like fmt.Errorf, with a hint.
func Errorf(text, format string, args ...any) error {
	return &hinted{fmt.Errorf(format, args...), text}
}

// ofHost marks an error that the host is at fault for.
type ofHost struct{ hinted }

// HostErrorf is Errorf for what the host lacks, and not what it was asked for is at fault for: a command ends with a code of its own
// then.
func HostErrorf(text, format string, args ...any) error {
	return &ofHost{hinted{fmt.Errorf(format, args...), text}}
}

// OfHost says whether HostErrorf has made the error, or one that it wraps.
func OfHost(err error) bool {
	var marked *ofHost
	return errors.As(err, &marked)
}

// Of returns the first hint that is not empty among err and all that it wraps, or "".
func Of(err error) string {
	if h, ok := err.(interface{ Hint() string }); ok && h.Hint() != "" {
		return h.Hint()
	}
	if e, ok := err.(interface{ Unwrap() error }); ok {
		return Of(e.Unwrap())
	}
	if e, ok := err.(interface{ Unwrap() []error }); ok {
		for _, inner := range e.Unwrap() {
			if text := Of(inner); text != "" {
				return text
			}
		}
	}
	return ""
}
