// This file owns the hints about caches that do not work: mounts of pip, uv and apt that stay empty, and a cache of pip
// that makes a layer larger.

package dockerfile

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/shell"
)

// hint looks for caches that do not work and for builds that will not run elsewhere. aptKeeps says that something before
// the RUN has told apt to keep packages; hint returns whether something has by its end.
func (h *hinter) hint(aptKeeps bool) bool {
	h.pip()
	h.uv()
	h.elsewhere(installer.Pip)
	h.elsewhere(installer.Uv)
	aptKeeps = aptKeeps || h.anyText(installer.AptKeepsPackages)
	if !aptKeeps && !h.gives(installer.Apt) {
		h.apt()
	}
	h.cuda()
	return aptKeeps
}

// pip looks at the cache of pip: in a mount, or in the layer.
func (h *hinter) pip() {
	mount := h.mountFor(installer.Pip)
	var installs []invocation
	for _, c := range h.commands {
		if p := c.installs(installer.Pip); p != nil && (p.Name == "pip" || p.Name == "get-pip.py") {
			installs = append(installs, c)
		}
	}
	if len(installs) == 0 {
		uv := slices.ContainsFunc(h.commands, func(c invocation) bool { return c.installs(installer.Uv) != nil })
		if mount != nil && path.Base(mount.Target) == "pip" && uv {
			h.say(&pipMountForUv, mount.Target)
		}
		return
	}
	kept := ""
	for _, c := range installs {
		if why := h.noPipCache(c); why != "" {
			if mount != nil {
				h.say(&pipMountUnused, why)
				return
			}
		} else {
			kept = cmp.Or(kept, strings.Join(c.words[:min(3, len(c.words))], " "))
		}
	}
	if mount == nil && kept != "" && h.exported() && !h.cleans() && !h.given(installer.Pip) {
		h.say(&pipCacheInLayer, kept)
	}
}

// given says whether the build gives the RUN a cache for the tool by itself.
func (h *hinter) given(t installer.Tool) bool {
	return h.gives(t) && h.calls.Fetches(t) && h.step.CacheMount(t) == nil && !h.calls.Chooses(t)
}

// noPipCache says what keeps pip from caching. Any value of the variable does, even 0.
func (h *hinter) noPipCache(c invocation) string {
	cache := installer.Pip.Cache()
	if slices.Contains(c.words, cache.Flags[0]) {
		return cache.Flags[0]
	}
	if h.value(c, cache.Off) != "" {
		return cache.Off
	}
	return ""
}

// cleans says whether the RUN removes the cache itself.
func (h *hinter) cleans() bool {
	return slices.ContainsFunc(h.commands, func(c invocation) bool {
		line := strings.Join(c.words, " ")
		return strings.Contains(line, "cache purge") || c.call.Name() == "rm" && strings.Contains(line, ".cache")
	})
}

// uv looks at the mount of uv's cache.
func (h *hinter) uv() {
	mount := h.mountFor(installer.Uv)
	if mount == nil || path.Base(mount.Target) != string(installer.Uv) {
		return
	}
	called := false
	for _, c := range h.commands {
		p := c.installs(installer.Uv)
		if p == nil {
			continue
		}
		called = true
		if why := h.noUvCache(c, p); why != "" {
			h.say(&uvMountUnused, " because of "+why+"; remove that")
			return
		}
	}
	pip := slices.ContainsFunc(h.commands, func(c invocation) bool { p := c.installs(installer.Pip); return p != nil && p.Name == "pip" })
	if !called && pip {
		h.say(&uvMountUnused, ": this RUN only calls pip; mount /root/.cache/pip")
	}
}

// noUvCache says what keeps uv from caching.
func (h *hinter) noUvCache(c invocation, p *shell.Program) string {
	if off := p.OffWords(installer.Uv); len(off) > 0 {
		return off[0].Value
	}
	if variable := installer.Uv.Cache().Off; installer.UvKeepsNone(h.value(c, variable)) {
		return variable
	}
	return ""
}

// elsewhere looks at a mount at a tool's usual place while the tool looks for its cache in another.
func (h *hinter) elsewhere(t installer.Tool) {
	mount := h.mount(func(m *Mount) bool { return m.Type == MountCache && strings.HasSuffix(m.Target, "/.cache/"+string(t)) })
	if mount == nil {
		return
	}
	for _, c := range h.commands {
		p := c.installs(t)
		if p == nil || p.Barrier.Why != "" || p.Name != string(t) || p.Call().Has("--cache-dir") || c.env["HOME"] != "" {
			continue
		}
		dir, why := h.cacheDir(c, t, mount.Target)
		if dir != "" && !mount.shows(dir) && h.mount(func(m *Mount) bool { return m.shows(dir) }) == nil {
			h.say(&mountElsewhere, mount.Target+" stays empty: "+why+" leads "+string(t)+" to "+dir+"; mount that")
			return
		}
	}
}

// cacheDir is where a tool keeps its cache, and what says so; empty where that is not known. The home of another user than
// root need not be what its name says, but it is not root's.
func (h *hinter) cacheDir(c invocation, t installer.Tool, mounted string) (dir, why string) {
	for _, v := range []struct{ name, below string }{{t.Cache().Variable, ""}, {"XDG_CACHE_HOME", string(t)}, {"HOME", ".cache/" + string(t)}} {
		if value := h.value(c, v.name); path.IsAbs(value) {
			return path.Join(value, v.below), v.name
		}
	}
	user, _, _ := strings.Cut(h.step.User, ":")
	switch {
	case shell.SameUser(user, "root"):
		return path.Join("/root/.cache", string(t)), "the home of root"
	case strings.HasPrefix(mounted, "/root/") && strings.Trim(user, "0123456789") != "":
		return path.Join("/home", user, ".cache", string(t)), "USER " + user
	}
	return "", ""
}

// apt looks at a mount of apt's cache in an image whose apt keeps nothing.
func (h *hinter) apt() {
	installs := slices.ContainsFunc(h.commands, func(c invocation) bool { p := c.installs(installer.Apt); return p != nil && !p.Call().Has("update") })
	mount := h.mount(func(m *Mount) bool {
		return m.Type == MountCache && (m.Target == "/var/cache/apt" || m.Target == "/var/cache/apt/archives")
	})
	if installs && mount != nil {
		h.say(&aptMountCleaned, mount.Target)
	}
}
