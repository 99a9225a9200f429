// This file owns what a build may do in its process. That was decided before it began: the process has a user namespace of
// its own, or the host lets it have none.

package build

import (
	"os"

	"github.com/gbuild/gbuild/pkg/files"
)

// ErrNeedsNamespace is returned by Build in a process that has no namespace of its own (Entered is false) when some
// work needs one. The caller knows why there is none, and says that.
var ErrNeedsNamespace = files.ErrNoRights

// process says what the process of the build may do.
type process struct {
	entered bool // it is uid 0 of its own user and mount namespace
	runs    bool // a RUN is among the steps of the build
}

// mayWork says whether this process sees the owners of files as the image has them, and no RUN needs more than that: it is
// in a namespace of its own, or it is root and only copies.
func (p *process) mayWork() bool { return p.entered || os.Geteuid() == 0 && !p.runs }

// check says early that a namespace is needed where some step will surely run.
func (p *process) check(req *Request) error {
	if p.runs && !p.entered && (req.NoCache || len(req.Fresh) > 0) {
		return ErrNeedsNamespace
	}
	return nil
}
