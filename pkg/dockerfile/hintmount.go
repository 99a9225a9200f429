package dockerfile

import (
	"path"
	"slices"
	"strings"
)

// This file finds cache mounts of uv that uv does not use, and mounts of pip and uv in other places than theirs.

// uv looks at the mount of uv's cache.
func (h *hinter) uv() {
	mount := h.mountFor(Uv)
	if mount == nil || path.Base(mount.Target) != string(Uv) {
		return
	}
	called := false
	for _, c := range h.commands {
		p := c.installs(Uv)
		if p == nil {
			continue
		}
		called = true
		if why := h.noUvCache(c, p); why != "" {
			h.say(&uvMountUnused, " because of "+why+"; remove that")
			return
		}
	}
	pip := slices.ContainsFunc(h.commands, func(c invocation) bool { p := c.installs(Pip); return p != nil && p.name == "pip" })
	if !called && pip {
		h.say(&uvMountUnused, ": this RUN only calls pip; mount /root/.cache/pip")
	}
}

// noUvCache says what keeps uv from caching.
func (h *hinter) noUvCache(c invocation, p *program) string {
	if off := toolSpecs[Uv].offWords(p); len(off) > 0 {
		return off[0].value
	}
	switch strings.ToLower(h.value(c, "UV_NO_CACHE")) {
	case "", "0", "false", "no", "off", "n", "f":
		return ""
	}
	return "UV_NO_CACHE"
}

// elsewhere looks at a mount at a tool's usual place while the tool looks for its cache in another.
func (h *hinter) elsewhere(t Tool) {
	i := slices.IndexFunc(h.step.Mounts, func(m Mount) bool {
		return m.Type == MountCache && strings.HasSuffix(m.Target, "/.cache/"+string(t))
	})
	if i < 0 {
		return
	}
	target := h.step.Mounts[i].Target
	for _, c := range h.commands {
		p := c.installs(t)
		if p == nil || p.barrier.why != "" || p.name != string(t) || p.has("--cache-dir") || c.env["HOME"] != "" {
			continue
		}
		if dir, why := h.cacheDir(c, t, target); dir != "" && !strings.HasPrefix(dir+"/", target+"/") && h.mountOver(dir) == nil {
			h.say(&mountElsewhere, target+" stays empty: "+why+" leads "+string(t)+" to "+dir+"; mount that")
			return
		}
	}
}

// mountOver is a mount that has a path.
func (h *hinter) mountOver(name string) *Mount {
	for i := range h.step.Mounts {
		if m := &h.step.Mounts[i]; strings.HasPrefix(name+"/", m.Target+"/") {
			return m
		}
	}
	return nil
}

// cacheDir is where a tool keeps its cache, and what says so; empty where that is not known. The home of another user than
// root need not be what its name says, but it is not root's.
func (h *hinter) cacheDir(c invocation, t Tool, mounted string) (dir, why string) {
	for _, v := range []struct{ name, below string }{{toolSpecs[t].variable, ""}, {"XDG_CACHE_HOME", string(t)}, {"HOME", ".cache/" + string(t)}} {
		if value := h.value(c, v.name); path.IsAbs(value) {
			return path.Join(value, v.below), v.name
		}
	}
	user, _, _ := strings.Cut(h.step.User, ":")
	switch {
	case sameUser(user, "root"):
		return path.Join("/root/.cache", string(t)), "the home of root"
	case strings.HasPrefix(mounted, "/root/") && strings.Trim(user, "0123456789") != "":
		return path.Join("/home", user, ".cache", string(t)), "USER " + user
	}
	return "", ""
}
