// This file owns the rules that gbuild has beside BuildKit's. A new one needs a line in docs/dockerfile.md, too.

package dockerfile

import (
	"fmt"
	"slices"

	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// hintRule is a rule that BuildKit does not have. It advises: # check=skip=NAME skips it, error=true does not count it.
type hintRule struct{ name, description, format string }

// say reports a finding of the rule, whose format takes what.
func (h *hintRule) say(lint *linter.Linter, at []parser.Range, what string) {
	rule := &linter.LinterRule[func()]{Name: h.name, Description: h.description}
	lint.Run(rule, at, fmt.Sprintf(h.format, what))
}

var (
	syntaxIgnored = hintRule{"SyntaxIgnored", "The language is built in; a custom frontend is not fetched",
		"Frontend %s is not fetched: the Dockerfile language is built in"}
	podmanField = hintRule{"PodmanMountField", "Fields of --mount that only podman and buildah know have no effect",
		"%s in --mount is podman's and has no effect here: no label or propagation is needed; for an owner write uid= and gid="}
	pipMountUnused = hintRule{"PipCacheMountUnused", "A cache mount is of no use to a pip that is told not to cache",
		"The cache mount of pip stays empty because of %s; remove that"}
	pipMountForUv = hintRule{"PipCacheMountForUv", "uv does not use the cache of pip",
		"The cache mount at %s is pip's, and this RUN only calls uv; mount /root/.cache/uv, and set UV_LINK_MODE=copy"}
	aptMountCleaned = hintRule{"AptCacheMountCleaned", "Debian's and Ubuntu's images remove packages after apt has installed them",
		"The cache mount at %s stays empty: the image's /etc/apt/apt.conf.d/docker-clean removes what apt keeps; delete that file first"}
	cudaArchMissing = hintRule{"CudaArchListMissing", "Without a GPU in the build, the architectures to compile for must be named",
		"%s"}
	uvMountUnused = hintRule{"UvCacheMountUnused", "A cache mount is of no use to a uv that is told not to cache, or that is not called",
		"The cache mount of uv stays empty%s"}
	mountElsewhere = hintRule{"CacheMountElsewhere", "A cache mount is of use where the tool looks for its cache only",
		"The cache mount at %s"}
	pipCacheInLayer = hintRule{"PipCacheInLayer", "What pip keeps for later installs makes the image larger",
		"pip leaves its cache in the layer (%s); add --mount=type=cache,target=/root/.cache/pip, or --no-cache-dir"}
)

// ownRules are the rules that BuildKit does not have.
var ownRules = []*hintRule{&syntaxIgnored, &pipMountUnused, &pipMountForUv, &aptMountCleaned, &cudaArchMissing, &pipCacheInLayer, &podmanField,
	&uvMountUnused, &mountElsewhere}

// isHint says whether a rule of that name is one of gbuild's own.
func isHint(rule string) bool {
	return slices.ContainsFunc(ownRules, func(r *hintRule) bool { return r.name == rule })
}
