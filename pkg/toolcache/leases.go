// This file owns the leases of one RUN: the only way by which it gets a cache that outlives the build. A lease is taken under the
// trust scope of the build. Below the cache of that scope the RUN may see, but never change, those of other scopes.
// Whatever was taken last is given back first, since mounts stand on each other.

package toolcache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
	"github.com/gbuild/gbuild/pkg/pipcache"
)

// Leases are the caches that one RUN was given, and what else is to be given back when it has ended.
type Leases struct {
	build *Build
	step  int
	taken bool              // there is one
	alone map[string]leased // those that nobody else has, so that this RUN could not take them again
	undo  []func() error
}

// leased is a cache that was taken, and what the RUN is to see of it.
type leased struct {
	lease *pipcache.Lease
	dir   string
}

// Later calls f when the RUN has ended, before what was asked for earlier.
func (l *Leases) Later(f func() error) { l.undo = append(l.undo, f) }

// Release gives everything back.
func (l *Leases) Release() (err error) {
	for _, f := range slices.Backward(l.undo) {
		err = errors.Join(err, f())
	}
	return err
}

// Taken says whether the RUN was given a directory that outlives it.
func (l *Leases) Taken() bool { return l.taken }

// Tell says something of the RUN.
func (l *Leases) Tell(text string) { l.build.Reports.Notice(l.step, text) }

// Take takes a cache of this build's scope until the step ends, and says what the RUN is to see of it. The result of the
// RUN belongs to the scope from then on.
func (l *Leases) Take(ctx context.Context, id string, sharing pipcache.Sharing, o pipcache.Options) (lease *pipcache.Lease, dir string, err error) {
	if l.build.Empty {
		if err := l.empty(ctx, id); err != nil {
			return nil, "", err
		}
	}
	o.Trust = l.build.Scope
	o.Waiting = func(holder string) {
		l.Tell(fmt.Sprintf("waiting for the cache %s, which %s uses", id, holder))
	}
	// The upper directory of an overlay has one user at a time, and a directory is in one place.
	if (len(l.build.Below) > 0 || l.build.Moved) && sharing != pipcache.Private {
		sharing = pipcache.Locked
	}
	key := fmt.Sprint(id, " ", o.Scope, o.OwnerGiven, o.UID, o.GID, o.Mode)
	if had, ok := l.alone[key]; ok && l.build.Moved && sharing == pipcache.Locked {
		return had.lease, had.dir, nil
	}
	if lease, err = l.build.Caches.Acquire(ctx, id, sharing, o); err != nil {
		return nil, "", err
	}
	l.taken = true
	l.Later(lease.Release)
	if dir, err = l.over(lease, id, o); err != nil {
		text := fmt.Sprintf("--cache-scope-from: caches of other scopes cannot be shown here, the build goes on without: %v", err)
		l.build.once("scopes below", func() { l.Tell(text) })
		dir = lease.Dir()
	}
	if sharing == pipcache.Locked {
		if l.alone == nil {
			l.alone = map[string]leased{}
		}
		l.alone[key] = leased{lease, dir}
	}
	return lease, dir, nil
}

// empty removes what a build before has left in a cache, once in a build.
func (l *Leases) empty(ctx context.Context, id string) error {
	b := l.build
	b.mu.Lock()
	do := b.emptied[id]
	if do == nil {
		do = sync.OnceValue(func() error { return b.remove(ctx, id) })
		b.emptied[id] = do
	}
	b.mu.Unlock()
	return do()
}

// remove removes the caches of this scope that have an id.
func (b *Build) remove(ctx context.Context, id string) error {
	all, err := b.Caches.List()
	if err != nil {
		return err
	}
	var keys []string
	for _, c := range all {
		if c.ID == id && c.Trust == b.Scope {
			keys = append(keys, c.Key)
		}
	}
	_, err = b.Caches.Remove(ctx, keys...)
	return err
}

// over shows the caches that the scopes below have under the same name, and those of the lease over them: an overlay whose
// writes stay in this scope. Without any it is the directory of the lease.
func (l *Leases) over(lease *pipcache.Lease, id string, o pipcache.Options) (string, error) {
	var lowers []string
	for _, scope := range l.build.Below {
		o.Trust = scope
		below, err := l.build.Caches.Borrow(id, o)
		if err != nil {
			return "", err
		}
		if below != nil {
			l.Later(below.Release)
			lowers = append(lowers, below.Dir())
		}
	}
	if len(lowers) == 0 {
		return lease.Dir(), nil
	}
	work, err := lease.Work()
	if err != nil {
		return "", err
	}
	dir, err := l.build.Scratch.Dir("cache")
	if err != nil {
		return "", err
	}
	if err := snapshotter.MountOverlay(dir, lowers, lease.Dir(), work); err != nil {
		return "", err
	}
	l.Later(func() error { return settleUpper(dir, lease.Dir()) })
	return dir, nil
}

// settleUpper ends an overlay, and makes its upper directory a plain one: what hides files of a lower one, and says how
// directories are merged, has no meaning in it.
func settleUpper(mounted, upper string) error {
	if err := unix.Unmount(mounted, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return fmt.Errorf("unmounting a cache: %w", err)
	}
	root, err := os.OpenRoot(upper)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
				return nil
			}
			return err
		}
		if d.IsDir() {
			for _, name := range []string{"opaque", "origin", "impure", "redirect"} {
				_ = unix.Lremovexattr(filepath.Join(upper, path), "user.overlay."+name) // most have none
			}
			return nil
		}
		if info, err := d.Info(); err == nil && d.Type()&fs.ModeCharDevice != 0 && info.Sys().(*syscall.Stat_t).Rdev == 0 {
			return root.Remove(path)
		}
		return nil
	})
}
