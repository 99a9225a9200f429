// This file owns what a build may do in its process. That was decided before it began: the process has a user namespace of
// its own, or the host lets it have none. Without one no file of an image is made: layers are read and written, and nothing runs.

package build

import (
	"fmt"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
)

// ErrNeedsNamespace is returned by Build in a process that has no namespace of its own (Entered is false) when some
// work needs one. The caller knows why there is none, and says that. The error is a *NamespaceError where a step is to blame.
var ErrNeedsNamespace = files.ErrNoRights

// NamespaceError names what in a Dockerfile needs a namespace.
type NamespaceError struct{ What string }

// Error implements error.
func (e *NamespaceError) Error() string { return e.What + " needs namespaces of its own" }

// Unwrap makes the error one of ErrNeedsNamespace.
func (e *NamespaceError) Unwrap() error { return ErrNeedsNamespace }

// process says what the process of the build may do.
type process struct {
	entered bool // it is uid 0 of its own user and mount namespace
}

// check says early that a namespace is needed where some step will surely run; run is the first RUN, nil where there is none.
func (p *process) check(req *Request, run dockerfile.Step) error {
	if run != nil && !p.entered && (req.NoCache || len(req.Fresh) > 0) {
		return needsNamespace(req.Plan, run)
	}
	return nil
}

// needsNamespace says which step cannot be done without.
func needsNamespace(p *dockerfile.Plan, s dockerfile.Step) error {
	what := "COPY"
	if !bringsFiles(s) {
		what = "RUN"
	}
	return &NamespaceError{fmt.Sprintf("%s at %s:%d", what, p.Name, s.Meta().Location.Start)}
}
