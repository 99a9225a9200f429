package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/caching"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
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
	out, calls := s, s.Calls()
	var list []runtime.Mount
	for _, t := range m.req.AutoCache {
		if t == dockerfile.Apt { // it has a configuration of its own
			continue
		}
		if !calls.Fetches(t) || s.ChoosesCache(t) {
			m.tellUncached(s, t)
			continue
		}
		if m.leavesCaches(ctx) {
			continue
		}
		separate, n, ok := out.Calls().Separate(t, filepath.Join(autoDir, string(t)))
		if !ok {
			use := &CacheUse{Tool: string(t), Automatic: true, Without: "calls of it that are told to keep none stand in a text that is not changed"}
			m.report(Event{Type: Cache, Step: m.number, Text: use.String(), Cache: use})
			continue
		}
		more, err := m.autoCache(ctx, s, t, n)
		if err != nil && (ctx.Err() != nil || t == dockerfile.Pip && m.req.PipDir != "") {
			return nil, nil, fmt.Errorf("preparing the cache of %s: %w", t, err)
		}
		if err != nil { // nobody has asked for it: the RUN goes on without
			m.report(Event{Type: Notice, Step: m.number, Text: fmt.Sprintf("the cache of %s is not used: %v", t, err)})
			continue
		}
		list = append(list, more...)
		out = out.Executing(caching.Read(separate).WithCache(t, filepath.Join(autoDir, string(t))))
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

// autoCache leases the cache of a tool, for the RUN and for calls of it that find nothing of each other's. What is built
// in the RUN is apart: it is found again only where building it again would give the same.
func (m *mounts) autoCache(ctx context.Context, s *dockerfile.Run, t dockerfile.Tool, calls int) ([]runtime.Mount, error) {
	switch t {
	case dockerfile.Pip:
		return m.pipCache(ctx, s, calls)
	case dockerfile.Uv:
		return m.uvCache(ctx, s, calls)
	case dockerfile.Conda:
		return m.mountOwn(ctx, t, "", pipcache.Locked)
	}
	return m.mountOwn(ctx, t, "", pipcache.Shared)
}

// pipCache binds what pip fetches, and in it the directory of what it builds.
func (m *mounts) pipCache(ctx context.Context, s *dockerfile.Run, calls int) (list []runtime.Mount, err error) {
	target := filepath.Join(autoDir, string(dockerfile.Pip))
	use := cacheUse{CacheUse: CacheUse{ID: "pip", Target: target, Tool: "pip", Automatic: true}}
	var wheels string
	scope, keep, ofState := m.builtScope(s, dockerfile.Pip)
	if keep {
		use.ofState = ofState
		use.built, wheels, err = m.builtCache(ctx, "pip-wheels", scope)
	} else {
		use.passing = true
		wheels, err = m.passing("pip")
	}
	if err != nil {
		return nil, err
	}
	if list, err = m.pipDir(ctx, s, use); err != nil {
		return nil, err
	}
	fetched := list[0].Source
	list = append(list, runtime.Mount{Type: "bind", Source: wheels, Target: target + "/wheels"})
	for i := range calls {
		if wheels, err = m.passing(fmt.Sprintf("pip-%d", i+1)); err != nil {
			return nil, err
		}
		own := fmt.Sprintf("%s-%d", target, i+1)
		list = append(list, runtime.Mount{Type: "bind", Source: fetched, Target: own}, runtime.Mount{Type: "bind", Source: wheels, Target: own + "/wheels"})
	}
	return list, nil
}

// passing makes a directory for what is built in this RUN and not kept: it ends with the draft, whatever ends that.
func (m *mounts) passing(name string) (string, error) {
	dir := filepath.Join(m.private, "built-"+name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	return dir, os.Chown(dir, m.user.UID, m.user.GID)
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
	renewed := slices.Contains(m.distrust, "pip")
	if m.req.PipDir != "" && m.user.UID == 0 && renewed {
		m.uses = append(m.uses, use)
		dir, err := m.passing("pip-fetched")
		return []runtime.Mount{{Type: "bind", Source: dir, Target: use.Target}}, err
	}
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
	if renewed {
		return list, nil
	}
	lent, err := m.lendBodies(s, lease, dir)
	return append(list, lent...), err
}

// ownCache leases a cache that belongs to the user of the RUN, until the step ends, and says what the RUN is to see.
func (m *mounts) ownCache(ctx context.Context, id, scope string, sharing pipcache.Sharing) (lease *pipcache.Lease, dir string, err error) {
	tool, _, _ := strings.Cut(id, "-") // pip-wheels is pip's
	if space := m.plan.CacheNamespace(); space != "" {
		id = space + "/" + id
	}
	o := pipcache.Options{Scope: scope, UID: m.user.UID, GID: m.user.GID, OwnerGiven: true, Mode: 0o755}
	if scope != "" {
		o.About = m.about()
	}
	lease, dir, err = m.lease(ctx, id, sharing, o)
	if err == nil && slices.Contains(m.distrust, tool) {
		err = lease.Renew()
		dir = lease.Dir()
	}
	return lease, dir, err
}

// builtCache leases the cache of what is built in a scope, which is kept if there is something in it in the end.
func (m *mounts) builtCache(ctx context.Context, id, scope string) (lease *pipcache.Lease, dir string, err error) {
	m.later(func() error { // after all that ownCache does has ended
		if lease == nil {
			return nil
		}
		usage, _ := lease.Usage()
		kept, err := lease.ReleaseFilled()
		if kept && usage.Files > 0 && err == nil {
			_, err = m.Caches.TrimBuilt(ctx, BuiltCaches, pipcache.BuiltAge, pipcache.BuiltSize)
		}
		if err != nil { // what was built is right all the same
			m.report(Event{Type: Notice, Step: m.number, Text: fmt.Sprintf("tidying what was built: %v", err)})
		}
		return nil
	})
	return m.ownCache(ctx, id, scope, pipcache.Shared)
}

// BuiltCaches are the ids of caches of what pip and uv build.
var BuiltCaches = []string{"pip-wheels", "uv-built"}

// about says to people what a scope stands for: what the RUN stands on, and the RUN.
func (m *mounts) about() string {
	root := m.stage
	for root.parent != nil {
		root = root.parent
	}
	base := "scratch"
	if root.base != nil {
		base = root.base.ref
	}
	text := strings.Join(strings.Fields(m.step.Meta().Title), " ")
	if r := []rune(text); len(r) > 60 {
		text = string(r[:60]) + "..."
	}
	return "on " + base + ": " + text
}

func resolvedDir(v *rootfs.View, dir string) ([]*rootfs.Entry, error) {
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
	for _, program := range s.Calls().Pythons() {
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
