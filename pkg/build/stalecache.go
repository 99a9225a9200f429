// This file owns the second try of a RUN that fails because of what a cache holds which the Dockerfile has not asked for: a file
// that was published again under the same name, or one that is broken. It is executed once more, with an empty cache in the
// place of that one.

package build

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/build/reasons"
)

// staleError is a failure of a RUN that a cache may be the cause of.
type staleError struct {
	tools []string
	cause error
}

// Error implements error.
func (e *staleError) Error() string { return e.cause.Error() }

// Unwrap gives the failure.
func (e *staleError) Unwrap() error { return e.cause }

// blameCaches marks the failure of a RUN which caches of some tools may be the cause of.
func blameCaches(err error, tools []string) error {
	var failed *reasons.RunError
	if tools == nil || !errors.As(err, &failed) {
		return err
	}
	return &staleError{tools, err}
}

// distrusts says whether the RUN is to be executed once more, with empty caches of some tools.
func (w *work) distrusts(err error) bool {
	var stale *staleError
	if w.distrust != nil || !errors.As(err, &stale) {
		return false
	}
	w.distrust = stale.tools
	w.build.events.notice(w.number, fmt.Sprintf("the cache of %s holds what the index does not have any more, or something broken: the step runs once more without it, "+
		"and what is downloaded now replaces that", strings.Join(slices.Compact(slices.Sorted(slices.Values(stale.tools))), " and ")))
	return true
}
