// This file owns the cache of uv. uv keeps in one directory what it fetched and what it built, and moves files between the parts
// of it, so that no part can be a mount of its own. A RUN sees an overlay: what was built in its scope, over what everybody
// fetched. When it has ended, what is new goes to where it belongs.

package toolcache

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// uvView is what one RUN, or one call in it, sees of uv's cache.
type uvView struct {
	target string   // its path in the RUN
	lowers []string // directories with the files that were there before
	upper  string   // the directory that gets the new files
	shared string   // the directory that keeps what everybody may use
	built  string   // the directory that keeps what was built; empty: that is not kept
}

// uvCache shows uv its cache, for the RUN and for the calls that find nothing of each other's.
func (c *Caches) uvCache(ctx context.Context, s *dockerfile.Run, calls int) (list []runtime.Mount, err error) {
	target := filepath.Join(autoDir, string(installer.Uv))
	use := cacheUse{Use: Use{ID: "uv", Target: target, Tool: "uv", Automatic: true}}
	lease, fetched, err := c.ownCache(ctx, "uv", "", pipcache.Shared)
	if err != nil {
		return nil, err
	}
	use.lease = lease
	usual := &uvView{target: target, lowers: []string{fetched}, shared: lease.Dir()}
	// The RUN finds what was built in the same scope. Its calls with other surroundings do not, and get views of their own below.
	if scope, keep, _ := c.builtScope(s, installer.Uv); keep {
		lease, built, err := c.builtCache(ctx, "uv-built", scope)
		if err != nil {
			return nil, err
		}
		usual.lowers, usual.built = []string{built, fetched}, lease.Dir()
	}
	// The first view is that of the RUN itself, the others are those of its separate calls.
	for i := range calls + 1 {
		v := usual
		if i > 0 {
			v = &uvView{target: fmt.Sprintf("%s-%d", target, i), lowers: []string{fetched}, shared: lease.Dir()}
		}
		source, err := c.showUv(v)
		if err != nil {
			if source, err = c.plainUv(v, i, err); err != nil {
				return nil, err
			}
		}
		if i == 0 {
			use.upper = v.upper
		}
		list = append(list, runtime.Mount{Type: "bind", Source: source, Target: v.target})
	}
	c.uses = append(c.uses, use)
	return list, nil
}

// showUv mounts the overlay, and keeps what is new when the RUN has ended.
func (c *Caches) showUv(v *uvView) (string, error) {
	dir, remove, err := c.build.Caches.Workspace()
	if err != nil {
		return "", err
	}
	// Later runs in reverse, so the workspace goes after the overlay in it has been taken down.
	c.leases.Later(remove)
	v.upper = filepath.Join(dir, "upper")
	root, work := filepath.Join(dir, "root"), filepath.Join(dir, "work")
	for _, d := range []string{v.upper, root, work} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return "", err
		}
	}
	// The root of an overlay has the owner of its upper directory, and uv wants to own its cache.
	if err := give(v.upper, c.User); err != nil {
		return "", err
	}
	if err := snapshotter.MountOverlay(root, v.lowers, v.upper, work); err != nil {
		return "", err
	}
	c.leases.Later(func() error {
		err := unix.Unmount(root, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
		if err == nil {
			err = v.keep(c.User)
		}
		if err != nil { // the image is right all the same
			c.leases.Tell(fmt.Sprintf("what uv fetched is not kept: %v", err))
		}
		return nil
	})
	return root, nil
}

// plainUv is for where no overlay can be mounted: a whole cache of the scope, or one that ends with the RUN.
func (c *Caches) plainUv(v *uvView, call int, why error) (string, error) {
	v.upper = ""
	c.leases.Tell(fmt.Sprintf("uv fetches anew for each thing that it builds on: an overlay in %s: %v", c.build.Caches.Dir(), why))
	if v.built != "" {
		return v.built, nil
	}
	return c.passing(fmt.Sprintf("uv-%d", call))
}

// keep moves what is new to where it belongs.
func (v *uvView) keep(user runtime.Identity) error {
	own, filled, err := v.builtArchives(user)
	if err != nil {
		return err
	}
	// Nothing was built, so the cache of what was built gets nothing.
	if !filled {
		v.built = ""
	}
	return pipcache.Divide(v.upper, func(name string) string {
		switch installer.PartOfUv(name, own) {
		case installer.UvBoth:
			return pipcache.Below
		case installer.UvBuilt:
			return v.built
		case installer.UvFetched:
			return v.shared
		}
		return ""
	})
}

// builtArchives are the names of unpacked packages to which what was built leads; filled says whether anything was built at
// all. It also lets the links of a call that saw the cache at another place lead to where all others see it.
func (v *uvView) builtArchives(user runtime.Identity) (own map[string]bool, filled bool, err error) {
	own = map[string]bool{}
	usual := filepath.Join(autoDir, string(installer.Uv))
	err = filepath.WalkDir(v.upper, func(name string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(v.upper, name)
		top, _, _ := strings.Cut(rel, "/")
		if err == nil && d.IsDir() && installer.UvIsDeep(top) {
			return fs.SkipDir
		}
		if installer.UvIsOfBuilds(top) {
			filled = filled || strings.Count(rel, "/") > 1 && err == nil && !d.IsDir()
		}
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		to, err := os.Readlink(name)
		if err != nil {
			return err
		}
		if !installer.UvIsOfWheels(top) {
			own[path.Base(to)] = true
		}
		if rest, ok := strings.CutPrefix(to, v.target+"/"); ok && v.target != usual {
			return relink(name, filepath.Join(usual, rest), user)
		}
		return nil
	})
	return own, filled, err
}

// relink lets a link lead elsewhere; it belongs to the user of the RUN again.
func relink(name, to string, user runtime.Identity) error {
	if err := os.Remove(name); err != nil {
		return err
	}
	if err := os.Symlink(to, name); err != nil {
		return err
	}
	return give(name, user)
}
