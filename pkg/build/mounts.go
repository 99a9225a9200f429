package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// mounts are the --mounts of one RUN, made ready; release gives everything back.
type mounts struct {
	*work
	user    runtime.Identity // of the RUN
	lower   *rootfs.View     // the files before it
	private string           // a directory that ends with the RUN's draft
	uses    []cacheUse

	fetched *pipcache.Lease // of what pip fetches; nil: it has no cache of ours
	undo    []func() error
}

func (m *mounts) later(f func() error) { m.undo = append(m.undo, f) }

func (m *mounts) release() (err error) {
	for i := len(m.undo) - 1; i >= 0; i-- {
		err = errors.Join(err, m.undo[i]())
	}
	return err
}

// prepare returns what the sandbox mounts, and the variables that secrets are given in.
func (m *mounts) prepare(ctx context.Context, s *dockerfile.Run) (list []runtime.Mount, env []string, err error) {
	for i := range s.Mounts {
		d := &s.Mounts[i]
		var mount *runtime.Mount
		switch d.Type {
		case dockerfile.MountTmpfs:
			mount = &runtime.Mount{Type: "tmpfs", Target: d.Target, Size: d.Size}
		case dockerfile.MountBind:
			mount, err = m.bind(ctx, d, m.sources[i], m.paths[i])
		case dockerfile.MountCache:
			mount, err = m.cache(ctx, s, d, m.sources[i])
		case dockerfile.MountSecret:
			mount, env, err = m.secret(d, env)
		case dockerfile.MountSSH:
			mount, err = m.agent(d)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("preparing mount %s: %w", d.Target, err)
		}
		if mount != nil {
			list = append(list, *mount)
		}
	}
	for _, f := range s.Files {
		path, err := m.scratch.file(f.Data, 0o755, 0, 0)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, runtime.Mount{Type: "bind", Source: path, Target: f.Path, ReadOnly: true})
	}
	return list, env, nil
}

// bind shows a path of a state. A draft over it is mounted, so that what a rw mount writes is discarded, and that the
// state of other steps cannot be reached.
func (m *mounts) bind(ctx context.Context, d *dockerfile.Mount, state layers.Key, source string) (*runtime.Mount, error) {
	if name, ok := contextName(d); ok {
		if err := m.materialise(ctx, state, name, source); err != nil {
			return nil, err
		}
	}
	path, err := m.show(ctx, state, source)
	if err != nil {
		return nil, err
	}
	return &runtime.Mount{Type: "bind", Source: path, Target: d.Target, ReadOnly: d.ReadOnly}, nil
}

// contextName says whether a bind mount shows a context, and which.
func contextName(d *dockerfile.Mount) (string, bool) {
	if d.From == nil {
		return "", true
	}
	return d.From.Name, d.From.Kind == dockerfile.FromContext
}

func (m *mounts) show(ctx context.Context, state layers.Key, source string) (string, error) {
	if err := m.ensure(ctx, state); err != nil {
		return "", err
	}
	draft, err := m.Store.Draft(ctx, state)
	if err != nil {
		return "", err
	}
	m.later(draft.Discard)
	inside, _, err := draft.Lower().Resolve("/"+source, true)
	if err != nil {
		return "", fmt.Errorf("%q: not found: %w", source, err)
	}
	root, err := draft.Mount(ctx)
	if err != nil {
		return "", err
	}
	m.later(draft.Unmount)
	return filepath.Join(root, inside), nil // nobody else can change this draft: the path stays what Resolve saw
}

func (m *mounts) cache(ctx context.Context, s *dockerfile.Run, d *dockerfile.Mount, state layers.Key) (*runtime.Mount, error) {
	var o pipcache.Options
	if d.UID != nil || d.GID != nil || d.Mode != nil {
		o.OwnerGiven = true
		o.UID, o.GID, o.Mode = valueOr(d.UID, 0), valueOr(d.GID, 0), valueOr(d.Mode, 0o755)
	}
	if d.From != nil { // owner and mode of the cache are then those of the source
		o.Scope = state.String()
		o.Seed = func(dir string) error { return m.seed(ctx, state, d.Source, dir) }
	}
	lease, dir, err := m.lease(ctx, d.ID, pipcache.Sharing(d.Sharing), o)
	if err != nil {
		return nil, err
	}
	m.noteMount(s, d, lease)
	if d.From == nil && filepath.Clean("/"+d.Source) != "/" {
		if dir, err = m.subdirectory(dir, d.Source); err != nil {
			return nil, err
		}
	}
	return &runtime.Mount{Type: "bind", Source: dir, Target: d.Target, ReadOnly: d.ReadOnly}, nil
}

// subdirectory pins source=DIR of a cache mount: other builds may write to the cache right now, so the directory is
// opened in-root and bound by descriptor, never mounted by its path.
func (m *mounts) subdirectory(dir, source string) (string, error) {
	if err := pathrs.MkdirAll(dir, source, 0o755); err != nil {
		return "", err
	}
	f, err := pathrs.OpenInRoot(dir, source)
	if err != nil {
		return "", err
	}
	defer f.Close()
	pin, err := m.scratch.dir("mount")
	if err != nil {
		return "", err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), pin, "", unix.MS_BIND, ""); err != nil {
		return "", fmt.Errorf("binding %s of the cache: %w", source, err)
	}
	m.later(func() error { return unix.Unmount(pin, unix.MNT_DETACH) })
	return pin, nil
}

// seed fills a new cache with the files that from= and source= name.
func (m *mounts) seed(ctx context.Context, state layers.Key, source, dir string) error {
	if err := m.ensure(ctx, state); err != nil {
		return err
	}
	view, err := m.Store.View(state)
	if err != nil {
		return err
	}
	return files.CopyTree(ctx, files.ViewTree(view), source, dir)
}

func (m *mounts) secret(d *dockerfile.Mount, env []string) (*runtime.Mount, []string, error) {
	secret, ok := m.req.Secrets[d.ID]
	if !ok {
		if d.Required {
			return nil, nil, errNoSecret(d.ID)
		}
		if d.Env != "" { // as in BuildKit: set, and empty
			env = append(env, d.Env+"=")
		}
		return nil, env, nil
	}
	if d.Env != "" {
		env = append(env, d.Env+"="+string(secret.Data))
		if !d.HasTarget {
			return nil, env, nil
		}
	}
	path, err := m.scratch.file(secret.Data, valueOr(d.Mode, 0o400), valueOr(d.UID, 0), valueOr(d.GID, 0))
	return &runtime.Mount{Type: "bind", Source: path, Target: d.Target, ReadOnly: true}, env, err
}

// errNoSecret says that the command line lacks a secret that is required.
func errNoSecret(id string) error {
	return hint.Errorf(fmt.Sprintf("give it with --secret id=%s,src=FILE or --secret id=%s,env=NAME", id, id), "secret %s: not found", id)
}

func valueOr[T any](v *T, otherwise T) T {
	if v == nil {
		return otherwise
	}
	return *v
}

// scratch is a tmpfs of the build, in its own mount namespace: secrets and scripts of heredocs never reach a disk, and
// are gone with the last process whatever kills it.
type scratch struct {
	store *layers.Store
	mu    sync.Mutex
	root  string
	n     int

	remove func() error
}

// name returns a new path in the tmpfs, which is mounted at first use.
func (s *scratch) name(kind string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(); err != nil {
		return "", err
	}
	s.n++
	return filepath.Join(s.root, fmt.Sprintf("%s-%d", kind, s.n)), nil
}

func (s *scratch) open() error {
	if s.root != "" {
		return nil
	}
	dir, remove, err := s.store.TempDir(context.Background())
	if err != nil {
		return err
	}
	s.remove = remove
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0700"); err != nil {
		return fmt.Errorf("mounting a tmpfs for secrets: %w", err)
	}
	s.root = dir
	return nil
}

func (s *scratch) dir(kind string) (string, error) {
	path, err := s.name(kind)
	if err != nil {
		return "", err
	}
	return path, os.Mkdir(path, 0o700)
}

func (s *scratch) file(data []byte, mode uint32, uid, gid int) (string, error) {
	path, err := s.name("file")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return "", err
	}
	if err := os.Chown(path, uid, gid); err != nil {
		return "", err
	}
	return path, unix.Chmod(path, mode)
}

func (s *scratch) close() {
	if s.root != "" {
		unix.Unmount(s.root, unix.MNT_DETACH)
		s.remove()
	}
}
