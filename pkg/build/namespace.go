// This file owns the decision that a build is left to a process with a user namespace of its own.

package build

import (
	"github.com/gbuild/gbuild/pkg/files"
	"os"
)

// ErrNeedsNamespace is returned by Build in a process that has no namespace of its own (Entered is false) when some
// work needs one. Nothing was changed then; the caller enters a namespace and builds again.
var ErrNeedsNamespace = files.ErrNoRights

// mayWork says whether this process sees the owners of files as the image has them, and need not enter a namespace for
// a RUN either: it has entered one, or it is root and only copies.
func (r *run) mayWork() bool {
	return r.Entered || os.Geteuid() == 0 && !r.target.hasRun(map[*stage]bool{})
}

// checkNamespace says early that a namespace is needed where some step will surely run.
func (r *run) checkNamespace(target *stage) error {
	if r.Entered || !r.req.NoCache && len(r.req.Fresh) == 0 {
		return nil
	}
	if target.hasRun(map[*stage]bool{}) {
		return ErrNeedsNamespace
	}
	return nil
}
