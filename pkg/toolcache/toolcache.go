// This file owns what tool caches need of a build, and of one of its RUNs.

package toolcache

import (
	"context"
	"net/url"
	"slices"
	"sync"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// Options are what one build says of the caches of its RUNs.
type Options struct {
	Caches *pipcache.Caches
	Scope  string   // the trust scope that the caches belong to
	Below  []string // scopes whose caches are shown below those of Scope
	Empty  bool     // a cache is emptied when the build first uses it

	Tools   []installer.Tool // these tools get a cache in each RUN that has none of its own
	Mirrors map[installer.Tool]*url.URL
	PipDir  string // pip's cache for RUNs of root; empty: one of Caches
	Space   string // keeps the caches of this Dockerfile from those of all others; empty: it shares them
	Left    bool   // the Dockerfile reads what tools leave in its own caches, so that pip and uv get none
	Moved   bool   // nothing can be mounted: a RUN has a cache by itself, which lies where the RUN sees it
	Unnamed bool   // RUNs see something that has no part in their names: a device

	Scratch Scratch
	Reports Reports
	Beside  func(func() error) // runs something beside the steps that follow
	Outer   context.Context    // the context of all that Beside runs
}

// Scratch makes files that never reach a disk, and end with the build.
type Scratch interface {
	File(data []byte, mode uint32, uid, gid int) (string, error)
	Dir(kind string) (string, error)
}

// Reports tells the user; step is the line of work of a RUN, 0 where something is said of the build.
type Reports interface {
	Notice(step int, text string)
	Cache(step int, text string, use *Use)
}

// Build is what the RUNs of one build share.
type Build struct {
	Options

	mu      sync.Mutex
	said    map[string]bool
	emptied map[string]func() error
}

// New begins with nothing said.
func New(o Options) *Build {
	return &Build{Options: o, said: map[string]bool{}, emptied: map[string]func() error{}}
}

// once calls say, if nothing of that name was said yet in this build.
func (b *Build) once(name string, say func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.said[name] {
		b.said[name] = true
		say()
	}
}

// Run is what tool caches know of a RUN.
type Run struct {
	Step     int              // its line of work
	User     runtime.Identity // the user of its processes
	Lower    *rootfs.View     // the files before it
	Private  string           // a directory that ends with it
	About    string           // says, in lists of what was built, which RUN built it
	Distrust []string         // tools whose caches are renewed

	Rerun  bool       // it runs although its result is known
	Recipe layers.Key // names all that it depends on
	Parent layers.Key // the state before it
	// Over names the RUN over another state.
	Over func(below layers.Key, s *dockerfile.Run) layers.Key
	// Brought returns the state below one, and what has changed since; ok says that nothing was executed for that.
	Brought func(k layers.Key) (below layers.Key, changed *rootfs.View, ok bool)
	// Mounted returns the files that a bind mount shows, and the path in them.
	Mounted func(ctx context.Context, mount int) (v *rootfs.View, name string, err error)
}

// Caches are the caches of one RUN.
type Caches struct {
	Run
	build  *Build
	leases *Leases
	uses   []cacheUse // cache mounts of the Dockerfile included

	fetched *pipcache.Lease // the cache of what pip fetches; nil: pip has no cache of ours
}

// Begin begins with no cache. What is taken is given back by Leases.
func (b *Build) Begin(r Run) *Caches {
	return &Caches{Run: r, build: b, leases: &Leases{build: b, step: r.Step}}
}

// Leases are what the RUN has of caches that outlive it.
func (c *Caches) Leases() *Leases { return c.leases }

// Stale lists the tools that failed because of what one of these caches holds, which the Dockerfile has not asked for.
func (c *Caches) Stale(log *Output) (tools []string) {
	for _, u := range c.uses {
		if u.Automatic && log.tools.Of(installer.Tool(u.Tool)).Stale && !slices.Contains(c.Distrust, u.Tool) {
			tools = append(tools, u.Tool)
		}
	}
	return tools
}
