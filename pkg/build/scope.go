package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/pipcache"
)

// This file owns the one way to a cache that outlives a build: it is of the trust scope of the build, and may show what
// other scopes have below that.

// lease takes a cache of this build's scope until the step ends, and says what the RUN is to see of it. The result of the
// RUN belongs to the scope from then on.
func (m *mounts) lease(ctx context.Context, id string, sharing pipcache.Sharing, o pipcache.Options) (l *pipcache.Lease, dir string, err error) {
	if m.req.NoCacheMounts {
		if err := m.emptyCache(ctx, id); err != nil {
			return nil, "", err
		}
	}
	o.Trust = m.req.Scope
	o.Waiting = func(holder string) {
		m.report(Event{Type: Notice, Step: m.number, Text: fmt.Sprintf("waiting for the cache %s, which %s uses", id, holder)})
	}
	if len(m.req.ScopesBelow) > 0 && sharing != pipcache.Private { // the upper directory of an overlay has one user at a time
		sharing = pipcache.Locked
	}
	if l, err = m.Caches.Acquire(ctx, id, sharing, o); err != nil {
		return nil, "", err
	}
	m.sawCache = true
	m.later(l.Release)
	if dir, err = m.over(l, id, o); err != nil {
		m.noticeBelow(ctx, err)
		dir = l.Dir()
	}
	return l, dir, nil
}

// emptiedCache names the future of a cache that --no-cache-mounts removes, once in a build.
type emptiedCache string

func (m *mounts) emptyCache(ctx context.Context, id string) error {
	_, err := m.once(emptiedCache(id), func() (layers.Key, error) {
		all, err := m.Caches.List()
		if err != nil {
			return layers.Key{}, err
		}
		var keys []string
		for _, c := range all {
			if c.ID == id && c.Trust == m.req.Scope {
				keys = append(keys, c.Key)
			}
		}
		_, err = m.Caches.Remove(ctx, keys...)
		return layers.Key{}, err
	}).get(ctx)
	return err
}

// noticeBelowName names the future of the notice, once in a build.
type noticeBelowName struct{}

func (m *mounts) noticeBelow(ctx context.Context, err error) {
	m.once(noticeBelowName{}, func() (layers.Key, error) {
		m.report(Event{Type: Notice, Step: m.number, Text: fmt.Sprintf("--cache-scope-from: caches of other scopes cannot be shown here, the build goes on without: %v", err)})
		return layers.Key{}, nil
	}).get(ctx)
}

// over shows the caches that the scopes below have under the same name, and those of the lease over them: an overlay whose
// writes stay in this scope. Without any it is the directory of the lease.
func (m *mounts) over(l *pipcache.Lease, id string, o pipcache.Options) (string, error) {
	var lowers []string
	for _, scope := range m.req.ScopesBelow {
		o.Trust = scope
		below, err := m.Caches.Borrow(id, o)
		if err != nil {
			return "", err
		}
		if below != nil {
			m.later(below.Release)
			lowers = append(lowers, below.Dir())
		}
	}
	if len(lowers) == 0 {
		return l.Dir(), nil
	}
	work, err := l.Work()
	if err != nil {
		return "", err
	}
	dir, err := m.scratch.dir("cache")
	if err != nil {
		return "", err
	}
	if err := layers.MountOverlay(dir, lowers, l.Dir(), work); err != nil {
		return "", err
	}
	m.later(func() error { return settleUpper(dir, l.Dir()) })
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
