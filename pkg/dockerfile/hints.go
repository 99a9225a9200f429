package dockerfile

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
)

// hintRule is a rule that BuildKit does not have. It advises: # check=skip=NAME skips it, error=true does not count it.
type hintRule = linter.LinterRule[func(string) string]

func newHint(name, description, format string) hintRule {
	return hintRule{Name: name, Description: description, Format: func(what string) string { return fmt.Sprintf(format, what) }}
}

var (
	syntaxIgnored = newHint("SyntaxIgnored", "The language is built in; a custom frontend is not fetched",
		"Frontend %s is not fetched: the Dockerfile language is built in")
	pipMountUnused = newHint("PipCacheMountUnused", "A cache mount is of no use to a pip that is told not to cache",
		"The cache mount of pip stays empty because of %s; remove that")
	pipMountForUv = newHint("PipCacheMountForUv", "uv does not use the cache of pip",
		"The cache mount at %s is pip's, and this RUN only calls uv; mount /root/.cache/uv, and set UV_LINK_MODE=copy")
	aptMountCleaned = newHint("AptCacheMountCleaned", "Debian's and Ubuntu's images remove packages after apt has installed them",
		"The cache mount at %s stays empty: the image's /etc/apt/apt.conf.d/docker-clean removes what apt keeps; delete that file first")
	cudaArchMissing = newHint("CudaArchListMissing", "Without a GPU in the build, the architectures to compile for must be named",
		"%s")
	uvMountUnused = newHint("UvCacheMountUnused", "A cache mount is of no use to a uv that is told not to cache, or that is not called",
		"The cache mount of uv stays empty%s")
	mountElsewhere = newHint("CacheMountElsewhere", "A cache mount is of use where the tool looks for its cache only",
		"The cache mount at %s")
	pipCacheInLayer = newHint("PipCacheInLayer", "What pip keeps for later installs makes the image larger",
		"pip leaves its cache in the layer (%s); add --mount=type=cache,target=/root/.cache/pip, or --no-cache-dir")
)

// ownRules are the rules that BuildKit does not have.
var ownRules = []*hintRule{&syntaxIgnored, &pipMountUnused, &pipMountForUv, &aptMountCleaned, &cudaArchMissing, &pipCacheInLayer, &podmanField,
	&uvMountUnused, &mountElsewhere}

func isHint(rule string) bool {
	return slices.ContainsFunc(ownRules, func(r *hintRule) bool { return r.Name == rule })
}

// hint looks for caches that do not work and for builds that will not run elsewhere.
func (r *resolver) hint(cmd *instructions.RunCommand, step *Run) {
	if r.onbuild { // the line is another file's
		return
	}
	h := &hinter{resolver: r, cmd: cmd, step: step, commands: invocations(step.calls())}
	h.pip()
	h.uv()
	h.elsewhere(Pip)
	h.elsewhere(Uv)
	h.apt()
	h.cuda()
}

// hinter looks at one RUN.
type hinter struct {
	*resolver
	cmd      *instructions.RunCommand
	step     *Run
	commands []invocation
}

func (h *hinter) say(rule *hintRule, what string) {
	h.lint.Run(rule, h.cmd.Location(), rule.Format(what))
}

func (h *hinter) value(c invocation, name string) string {
	if v, ok := c.env[name]; ok {
		return v
	}
	v, _ := h.env.Get(name)
	return v
}

func (h *hinter) pip() {
	mount := h.mountFor(Pip)
	var installs []invocation
	for _, c := range h.commands {
		if p := c.installs(Pip); p != nil && (p.name == "pip" || p.name == "get-pip.py") {
			installs = append(installs, c)
		}
	}
	if len(installs) == 0 {
		uv := slices.ContainsFunc(h.commands, func(c invocation) bool { return c.installs(Uv) != nil })
		if mount != nil && path.Base(mount.Target) == "pip" && uv {
			h.say(&pipMountForUv, mount.Target)
		}
		return
	}
	kept := ""
	for _, c := range installs {
		if why := h.noCache(c); why != "" {
			if mount != nil {
				h.say(&pipMountUnused, why)
				return
			}
		} else {
			kept = cmp.Or(kept, strings.Join(c.words[:min(3, len(c.words))], " "))
		}
	}
	if mount == nil && kept != "" && h.exported() && !h.cleans() && !h.given(Pip) {
		h.say(&pipCacheInLayer, kept)
	}
}

// given says whether the build gives the RUN a cache for the tool by itself.
func (h *hinter) given(t Tool) bool {
	return slices.Contains(h.plan.opts.AutoCache, t) && h.step.Fetches(t) && !h.step.ChoosesCache(t)
}

// noCache says what keeps pip from caching. Any value of the variable does, even 0.
func (h *hinter) noCache(c invocation) string {
	if slices.Contains(c.words, "--no-cache-dir") {
		return "--no-cache-dir"
	}
	if h.value(c, "PIP_NO_CACHE_DIR") != "" {
		return "PIP_NO_CACHE_DIR"
	}
	return ""
}

// cleans says whether the RUN removes the cache itself.
func (h *hinter) cleans() bool {
	return slices.ContainsFunc(h.commands, func(c invocation) bool {
		line := strings.Join(c.words, " ")
		return strings.Contains(line, "cache purge") || c.name() == "rm" && strings.Contains(line, ".cache")
	})
}

// exported says whether what the stage writes is part of the result.
func (h *hinter) exported() bool {
	for s := h.plan.Target; s != nil; s = s.Base.Stage {
		if s == h.stage {
			return true
		}
	}
	return false
}

// mountFor returns the mount that keeps the cache of a tool out of the layer: at its usual place, or where a variable says.
func (h *hinter) mountFor(t Tool) *Mount {
	for i := range h.step.Mounts {
		m := &h.step.Mounts[i]
		if m.Type != MountCache && m.Type != MountTmpfs {
			continue
		}
		dir, _ := h.env.Get(toolSpecs[t].variable)
		if base := path.Base(m.Target); base == string(t) || base == ".cache" || dir != "" && strings.HasPrefix(dir+"/", m.Target+"/") {
			return m
		}
	}
	return nil
}

// keepsPackages says whether a text turns docker-clean off.
func keepsPackages(text string) bool {
	return strings.Contains(text, "docker-clean") || strings.Contains(text, "Keep-Downloaded-Packages") || strings.Contains(text, "apt.conf")
}

func (h *hinter) apt() {
	if slices.ContainsFunc(h.step.Args, keepsPackages) {
		h.aptKeeps = true
	}
	if h.aptKeeps || slices.Contains(h.plan.opts.AutoCache, Apt) || !slices.ContainsFunc(h.commands, invocation.aptInstalls) {
		return
	}
	for _, m := range h.step.Mounts {
		if m.Type == MountCache && (m.Target == "/var/cache/apt" || m.Target == "/var/cache/apt/archives") {
			h.say(&aptMountCleaned, m.Target)
			return
		}
	}
}
