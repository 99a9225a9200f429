// This file owns which package managers of a RUN get a cache, and what of it they see.
// A tool gets none where the Dockerfile mounts one, names another, or reads what the tool leaves in its own.

package toolcache

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/caching"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// autoDir is where a RUN sees the caches that it has not asked for: below /dev, which is a tmpfs of each sandbox, so that
// not even a mount point is made in the image, and which rm -rf of a Dockerfile leaves alone.
const autoDir = "/dev/gbuild"

// Give gives the RUN a cache for each package manager that it calls and that the Dockerfile has no cache for. It
// returns the RUN as it is to be executed; its key and its history are those of s.
func (c *Caches) Give(ctx context.Context, s *dockerfile.Run) (*dockerfile.Run, []runtime.Mount, error) {
	// Tools are looked for in the scripts that the RUN executes, too, as far as they can be read.
	if len(c.build.Tools) > 0 {
		s = s.WithScripts(c.scriptsOf(ctx, s))
	}
	out, calls := s, s.Calls()
	var list []runtime.Mount
	for _, t := range c.build.Tools {
		if t == installer.Apt { // it has a configuration of its own
			continue
		}
		if !calls.Fetches(t) || s.ChoosesCache(t) {
			c.tellUncached(s, t)
			continue
		}
		if c.leavesCaches() {
			continue
		}
		separate, n, ok := out.Calls().Separate(t, filepath.Join(autoDir, string(t)))
		if !ok {
			use := &Use{Tool: string(t), Automatic: true, Without: "calls of it that are told to keep none stand in a text that is not changed"}
			c.build.Reports.Cache(c.Step, use.String(), use)
			continue
		}
		more, err := c.autoCache(ctx, s, t, n)
		// Only a cache that the user has named (--pip-cache) may end the build.
		if err != nil && (ctx.Err() != nil || t == installer.Pip && c.build.PipDir != "") {
			return nil, nil, fmt.Errorf("preparing the cache of %s: %w", t, err)
		}
		if err != nil { // nobody has asked for it: the RUN goes on without
			c.leases.Tell(fmt.Sprintf("the cache of %s is not used: %v", t, err))
			continue
		}
		list = append(list, more...)
		out = out.Executing(caching.Read(separate).WithCache(t, filepath.Join(autoDir, string(t))))
		c.tellAuto(t)
	}
	out, more, err := c.apt(ctx, out)
	return out, append(list, more...), err
}

// tellAuto says once what the build does by itself.
func (c *Caches) tellAuto(t installer.Tool) {
	off := "--auto-cache"
	if t == installer.Pip {
		off = "--pip-cache=off"
	}
	text := fmt.Sprintf("%s has a cache that is kept between builds, outside of the image, in each RUN that mounts none (%s)", t, off)
	c.build.once("cache of "+string(t), func() { c.build.Reports.Cache(0, text, nil) })
}

// leavesCaches says whether this build leaves all caches to its Dockerfile, and says so once.
func (c *Caches) leavesCaches() bool {
	if c.build.Left {
		c.build.once("no caches", func() {
			c.build.Reports.Cache(0, "the Dockerfile reads ~/.cache: pip and uv keep their caches there, in the image", nil)
		})
	}
	return c.build.Left
}

// autoCache leases the cache of a tool, for the RUN and for calls of it that find nothing of each other's. What is built
// in the RUN is apart: it is found again only where building it again would give the same.
func (c *Caches) autoCache(ctx context.Context, s *dockerfile.Run, t installer.Tool, calls int) ([]runtime.Mount, error) {
	switch t {
	case installer.Pip:
		return c.pipCache(ctx, s, calls)
	case installer.Uv:
		return c.uvCache(ctx, s, calls)
	}
	return c.mountOwn(ctx, t)
}

// pipCache binds what pip fetches, and in it the directory of what it builds.
func (c *Caches) pipCache(ctx context.Context, s *dockerfile.Run, calls int) (list []runtime.Mount, err error) {
	// pip keeps downloads and the wheels that it built in one directory. Here they are two: wheels are found again in their scope only.
	target := filepath.Join(autoDir, string(installer.Pip))
	use := cacheUse{Use: Use{ID: "pip", Target: target, Tool: "pip", Automatic: true}}
	var wheels string
	scope, keep, ofState := c.builtScope(s, installer.Pip)
	if keep {
		use.ofState = ofState
		use.built, wheels, err = c.builtCache(ctx, "pip-wheels", scope)
	} else {
		use.passing = true
		wheels, err = c.passing("pip")
	}
	if err != nil {
		return nil, err
	}
	if list, err = c.pipDir(ctx, s, use); err != nil {
		return nil, err
	}
	fetched := list[0].Source
	if c.build.Moved { // nothing may lie where the wheels are shown, which is always covered elsewhere
		if err := os.RemoveAll(filepath.Join(fetched, "wheels")); err != nil {
			return nil, err
		}
	}
	list = append(list, runtime.Mount{Type: "bind", Source: wheels, Target: target + "/wheels"})
	for i := range calls {
		if wheels, err = c.passing(fmt.Sprintf("pip-%d", i+1)); err != nil {
			return nil, err
		}
		own := fmt.Sprintf("%s-%d", target, i+1)
		if c.build.Moved { // what is fetched is in one place already
			list = append(list, runtime.Mount{Type: "bind", Source: wheels, Target: own})
			continue
		}
		list = append(list, runtime.Mount{Type: "bind", Source: fetched, Target: own}, runtime.Mount{Type: "bind", Source: wheels, Target: own + "/wheels"})
	}
	return list, nil
}

// passing makes a directory for what is built in this RUN and not kept: it ends with the draft, whatever ends that.
func (c *Caches) passing(name string) (string, error) {
	dir := filepath.Join(c.Private, "built-"+name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	return dir, give(dir, c.User)
}

// give makes the user of a RUN the owner of a file, of a link itself.
func give(name string, user runtime.Identity) error {
	return rootfs.Kept(rootfs.Owner{UID: user.UID, GID: user.GID}.GivePath(name))
}

// mountOwn binds a cache of the tool that belongs to the user of the RUN.
func (c *Caches) mountOwn(ctx context.Context, t installer.Tool) ([]runtime.Mount, error) {
	sharing := pipcache.Shared
	if t.Cache().Exclusive {
		sharing = pipcache.Locked
	}
	lease, dir, err := c.ownCache(ctx, string(t), "", sharing)
	if err != nil {
		return nil, err
	}
	target := filepath.Join(autoDir, string(t))
	c.uses = append(c.uses, cacheUse{Use: Use{ID: string(t), Target: target, Tool: string(t), Automatic: true}, lease: lease})
	return []runtime.Mount{{Type: "bind", Source: dir, Target: target}}, nil
}

// pipDir is what pip fetches: the cache of the user that the RUN has, or for root the directory of --pip-cache. pip uses
// no cache that belongs to somebody else.
func (c *Caches) pipDir(ctx context.Context, s *dockerfile.Run, use cacheUse) ([]runtime.Mount, error) {
	renewed := slices.Contains(c.Distrust, "pip")
	// The directory is the user's own, so it is never emptied: the RUN gets one that ends with it.
	if c.build.PipDir != "" && c.User.UID == 0 && renewed {
		c.uses = append(c.uses, use)
		dir, err := c.passing("pip-fetched")
		return []runtime.Mount{{Type: "bind", Source: dir, Target: use.Target}}, err
	}
	if c.build.PipDir != "" && c.User.UID == 0 {
		if err := pipcache.OpenDir(c.build.PipDir, "--pip-cache"); err != nil {
			return nil, err
		}
		use.ID, c.leases.taken = c.build.PipDir, true
		c.uses = append(c.uses, use)
		return []runtime.Mount{{Type: "bind", Source: c.build.PipDir, Target: use.Target}}, nil
	}
	lease, dir, err := c.ownCache(ctx, "pip", "", pipcache.Shared)
	if err != nil {
		return nil, err
	}
	use.lease = lease
	c.uses = append(c.uses, use)
	list := []runtime.Mount{{Type: "bind", Source: dir, Target: use.Target}}
	// A renewed cache has just made a RUN fail: nothing of it is lent.
	if renewed {
		return list, nil
	}
	lent, err := c.lendBodies(s, lease, dir)
	return append(list, lent...), err
}

// ownCache leases a cache that belongs to the user of the RUN, until the step ends, and says what the RUN is to see.
func (c *Caches) ownCache(ctx context.Context, id, scope string, sharing pipcache.Sharing) (lease *pipcache.Lease, dir string, err error) {
	tool, _, _ := strings.Cut(id, "-") // pip-wheels is pip's
	if space := c.build.Space; space != "" {
		id = space + "/" + id
	}
	o := pipcache.Options{Scope: scope, UID: c.User.UID, GID: c.User.GID, OwnerGiven: true, Mode: 0o755}
	if scope != "" {
		o.About = c.About
	}
	lease, dir, err = c.leases.Take(ctx, id, sharing, o)
	if err == nil && slices.Contains(c.Distrust, tool) {
		err = lease.Renew()
		dir = lease.Dir()
	}
	return lease, dir, err
}

// builtCache leases the cache of what is built in a scope, which is kept if there is something in it in the end.
func (c *Caches) builtCache(ctx context.Context, id, scope string) (lease *pipcache.Lease, dir string, err error) {
	c.leases.Later(func() error { // after all that ownCache does has ended
		if lease == nil {
			return nil
		}
		usage, _ := lease.Usage()
		kept, err := lease.ReleaseFilled()
		if kept && usage.Files > 0 && err == nil {
			_, err = c.build.Caches.TrimBuilt(ctx, BuiltCaches, pipcache.BuiltAge, pipcache.BuiltSize)
		}
		if err != nil { // the files that were built are right all the same
			c.leases.Tell(fmt.Sprintf("tidying what was built: %v", err))
		}
		return nil
	})
	return c.ownCache(ctx, id, scope, pipcache.Shared)
}

// BuiltCaches are the ids of caches of what pip and uv build.
var BuiltCaches = []string{"pip-wheels", "uv-built"}

// resolvedDir lists a directory of a view, which links may lead to.
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
