package build

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// installsPython says whether a RUN calls a tool that installs Python distributions.
func installsPython(s *dockerfile.Run) bool {
	return slices.ContainsFunc([]dockerfile.Tool{dockerfile.Pip, dockerfile.Uv, dockerfile.Conda}, s.Fetches)
}

// reproducible is the environment in which Python writes the same byte code every time: by SOURCE_DATE_EPOCH it is
// bound to the content of its source instead of the time (py_compile), and without a fixed hash seed Python
// before 3.11 writes the constants of sets in any order. What the Dockerfile sets, holds.
func reproducible(s *dockerfile.Run) (env []string) {
	if !installsPython(s) {
		return nil
	}
	for _, pair := range []string{fmt.Sprintf("SOURCE_DATE_EPOCH=%d", layers.SettledTime), "PYTHONHASHSEED=0"} {
		name, _, _ := strings.Cut(pair, "=")
		if !slices.ContainsFunc(s.Env, func(set string) bool { return strings.HasPrefix(set, name+"=") }) {
			env = append(env, pair)
		}
	}
	return env
}
