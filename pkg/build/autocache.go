package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// autoDir is where a RUN sees the caches that it has not asked for: below /dev, which is a tmpfs of each sandbox, so that
// not even a mount point is made in the image, and which rm -rf of a Dockerfile leaves alone.
const autoDir = "/dev/gbuild"

// noticeAuto names the future of the notice, once in a build.
type noticeAuto dockerfile.Tool

// autoCaches gives the RUN a cache for each package manager that it calls and that the Dockerfile has no cache for. It
// returns the RUN as it is to be executed; its key and its history are those of s.
func (m *mounts) autoCaches(ctx context.Context, s *dockerfile.Run) (*dockerfile.Run, []runtime.Mount, error) {
	if len(m.req.AutoCache) > 0 {
		s = s.WithScripts(m.scriptsOf(ctx, s))
	}
	out := s
	var list []runtime.Mount
	for _, t := range m.req.AutoCache {
		if t == dockerfile.Apt { // it has a configuration of its own
			continue
		}
		if !s.Fetches(t) || s.ChoosesCache(t) {
			m.tellUncached(s, t)
			continue
		}
		if m.leavesCaches(ctx) {
			continue
		}
		more, err := m.autoCache(ctx, s, t)
		if err != nil && (ctx.Err() != nil || t == dockerfile.Pip && m.req.PipDir != "") {
			return nil, nil, fmt.Errorf("preparing the cache of %s: %w", t, err)
		}
		if err != nil { // nobody has asked for it: the RUN goes on without
			m.report(Event{Type: Notice, Step: m.number, Text: fmt.Sprintf("the cache of %s is not used: %v", t, err)})
			continue
		}
		list = append(list, more...)
		out = out.WithCache(t, filepath.Join(autoDir, string(t)))
		m.tellAuto(ctx, t)
	}
	out, more, err := m.apt(ctx, out)
	return out, append(list, more...), err
}

// tellAuto says once what the build does by itself.
func (m *mounts) tellAuto(ctx context.Context, t dockerfile.Tool) {
	m.once(noticeAuto(t), func() (layers.Key, error) {
		off := "--auto-cache"
		if t == dockerfile.Pip {
			off = "--pip-cache=off"
		}
		m.report(Event{Type: Cache, Text: fmt.Sprintf("%s has a cache that is kept between builds, outside of the image, in each RUN that mounts none (%s)", t, off)})
		return layers.Key{}, nil
	}).get(ctx)
}

// noticeLeft names the future of the other notice.
type noticeLeft struct{}

// leavesCaches says whether this build leaves all caches to its Dockerfile, and says so once.
func (m *mounts) leavesCaches(ctx context.Context) bool {
	if !m.readsCaches() {
		return false
	}
	m.once(noticeLeft{}, func() (layers.Key, error) {
		m.report(Event{Type: Cache, Text: "the Dockerfile reads ~/.cache: pip and uv keep their caches there, in the image"})
		return layers.Key{}, nil
	}).get(ctx)
	return true
}

// readsCaches says whether a step of this build wants what pip and uv leave below ~/.cache.
func (r *run) readsCaches() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, st := range r.resolved {
		for _, s := range st.steps {
			if dockerfile.ReadsCaches(s) {
				return true
			}
		}
	}
	return false
}

// autoCache leases the cache of a tool. What pip builds itself is apart: it fits what it was built on only.
func (m *mounts) autoCache(ctx context.Context, s *dockerfile.Run, t dockerfile.Tool) ([]runtime.Mount, error) {
	target := filepath.Join(autoDir, string(t))
	switch t {
	case dockerfile.Pip:
		scope, err := m.wheelScope(ctx, s)
		if err != nil {
			return nil, err
		}
		wheels, built, err := m.ownCache(ctx, "pip-wheels", scope, pipcache.Shared)
		if err != nil {
			return nil, err
		}
		list, err := m.pipDir(ctx, s, cacheUse{CacheUse: CacheUse{ID: "pip", Target: target, Tool: "pip", Automatic: true}, built: wheels})
		return append(list, runtime.Mount{Type: "bind", Source: built, Target: target + "/wheels"}), err
	case dockerfile.Uv:
		scope, err := m.wheelScope(ctx, s)
		if err != nil {
			return nil, err
		}
		return m.mountOwn(ctx, t, scope, pipcache.Shared)
	case dockerfile.Conda:
		return m.mountOwn(ctx, t, "", pipcache.Locked)
	}
	return m.mountOwn(ctx, t, "", pipcache.Shared)
}

func (m *mounts) mountOwn(ctx context.Context, t dockerfile.Tool, scope string, sharing pipcache.Sharing) ([]runtime.Mount, error) {
	lease, dir, err := m.ownCache(ctx, string(t), scope, sharing)
	if err != nil {
		return nil, err
	}
	target := filepath.Join(autoDir, string(t))
	m.uses = append(m.uses, cacheUse{CacheUse: CacheUse{ID: string(t), Target: target, Tool: string(t), Automatic: true}, lease: lease})
	return []runtime.Mount{{Type: "bind", Source: dir, Target: target}}, nil
}

// pipDir is what pip fetches: the cache of the user that the RUN has, or for root the directory of --pip-cache. pip uses
// no cache that belongs to somebody else.
func (m *mounts) pipDir(ctx context.Context, s *dockerfile.Run, use cacheUse) ([]runtime.Mount, error) {
	if m.req.PipDir != "" && m.user.UID == 0 {
		if err := pipcache.OpenDir(m.req.PipDir, "--pip-cache"); err != nil {
			return nil, err
		}
		use.ID, m.sawCache = m.req.PipDir, true
		m.uses = append(m.uses, use)
		return []runtime.Mount{{Type: "bind", Source: m.req.PipDir, Target: use.Target}}, nil
	}
	lease, dir, err := m.ownCache(ctx, "pip", "", pipcache.Shared)
	if err != nil {
		return nil, err
	}
	use.lease = lease
	m.uses = append(m.uses, use)
	list := []runtime.Mount{{Type: "bind", Source: dir, Target: use.Target}}
	lent, err := m.lendBodies(s, lease, dir)
	return append(list, lent...), err
}

// ownCache leases a cache that belongs to the user of the RUN, until the step ends, and says what the RUN is to see.
func (m *mounts) ownCache(ctx context.Context, id, scope string, sharing pipcache.Sharing) (lease *pipcache.Lease, dir string, err error) {
	if space := m.plan.CacheNamespace(); space != "" {
		id = space + "/" + id
	}
	return m.lease(ctx, id, sharing, pipcache.Options{Scope: scope, UID: m.user.UID, GID: m.user.GID, OwnerGiven: true, Mode: 0o755})
}

// wheelScope names what a wheel that is built in the RUN may depend on: the base image, the distributions that extension
// modules are built against, and, where the RUN changes those itself, the RUN with all that stands before it. A
// flash-attn that was built for one torch is not found by a build with another.
func (m *mounts) wheelScope(ctx context.Context, s *dockerfile.Run) (string, error) {
	root := m.stage
	for root.parent != nil {
		root = root.parent
	}
	base, err := m.baseKey(ctx, root)
	if err != nil {
		return "", err
	}
	r := newRecipe("wheels", base)
	r.list(builtAgainst(m.lower, s))
	if !s.BuildsOnParent() {
		r.bytes(m.recipes.own[:])
	}
	return r.key().String(), nil
}

// abiNames begin the names of the distributions that extension modules are built against.
var abiNames = []string{"torch-", "numpy-", "tensorflow-", "tensorflow_", "jax-", "jaxlib-"}

// builtAgainst lists those that are installed in the places where a RUN's Pythons look, with their versions.
func builtAgainst(v *layers.View, s *dockerfile.Run) (found []string) {
	for _, prefix := range prefixes(s) {
		lib, err := resolvedDir(v, filepath.Join(prefix, "lib"))
		if err != nil {
			continue
		}
		for _, python := range lib {
			if !strings.HasPrefix(python.Name, "python") {
				continue
			}
			for _, packages := range []string{"site-packages", "dist-packages"} {
				dir := filepath.Join(prefix, "lib", python.Name, packages)
				entries, _ := resolvedDir(v, dir)
				for _, e := range entries {
					if isABI(e.Name) {
						found = append(found, filepath.Join(dir, e.Name))
					}
				}
			}
		}
	}
	return found
}

func isABI(name string) bool {
	if !strings.HasSuffix(name, ".dist-info") && !strings.HasSuffix(name, ".egg-info") {
		return false
	}
	for _, start := range abiNames {
		if strings.HasPrefix(strings.ToLower(name), start) {
			return true
		}
	}
	return false
}

func resolvedDir(v *layers.View, dir string) ([]*layers.Entry, error) {
	real, e, err := v.Resolve(dir, true)
	if err != nil {
		return nil, err
	}
	if !e.IsDir() {
		return nil, os.ErrInvalid
	}
	return v.ReadDir(real)
}

// prefixes are the directories below which the Pythons of a RUN have lib/python3.X, each once.
func prefixes(s *dockerfile.Run) (all []string) {
	seen := map[string]bool{}
	add := func(dir string) {
		if dir = filepath.Clean(dir); filepath.IsAbs(dir) && !seen[dir] {
			seen[dir] = true
			all = append(all, dir)
		}
	}
	for _, program := range s.Pythons() {
		add(filepath.Dir(filepath.Dir(program)))
	}
	for _, bin := range filepath.SplitList(s.Getenv("PATH")) {
		add(filepath.Dir(bin))
	}
	for _, name := range []string{"VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT"} {
		if dir := s.Getenv(name); dir != "" {
			add(dir)
		}
	}
	add("/usr")
	add("/usr/local")
	add(filepath.Join(s.Dir, ".venv"))
	return all
}
