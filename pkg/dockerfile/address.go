// This file owns which sources of ADD are addresses: files of web servers, and git repositories.

package dockerfile

import (
	"errors"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"
)

// IsHTTP reports whether a source of ADD is a download: a URL whose path does not end in .git.
func IsHTTP(src string) bool {
	return (strings.HasPrefix(src, "http://") || strings.HasPrefix(src, "https://")) && !isGit(src)
}

// IsGit reports whether a source of ADD is a git repository.
func IsGit(src string) bool {
	ref, _, err := parseGit(src)
	return err == nil && !ref.IndistinguishableFromLocal
}

// isGit says whether a source is written as a git repository, in a form that is right or not.
func isGit(src string) bool {
	ref, git, _ := parseGit(src)
	return ref != nil && git
}

// errNoGit is what parseGit says of a path.
var errNoGit = errors.New("no git reference")

// parseGit spares paths, which nearly all sources are, what ParseGitRef takes to see that they are paths.
func parseGit(src string) (*dfgitutil.GitRef, bool, error) {
	if !strings.Contains(src, ":") && !strings.HasPrefix(src, "github.com/") {
		return nil, false, errNoGit
	}
	return dfgitutil.ParseGitRef(src)
}
