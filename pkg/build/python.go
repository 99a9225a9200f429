// This file owns what is done for RUNs that install Python distributions.

package build

import (
	"slices"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/installer"
)

// installsPython says whether a RUN calls a tool that installs Python distributions.
func installsPython(s *dockerfile.Run) bool {
	return slices.ContainsFunc(installer.PythonTools, s.Calls().Fetches)
}

// settles says whether the files of distributions that a RUN installs get a settled time: not where its environment sets
// SOURCE_DATE_EPOCH to nothing.
func settles(s *dockerfile.Run) bool {
	return installsPython(s) && !slices.Contains(s.Env, "SOURCE_DATE_EPOCH=")
}
