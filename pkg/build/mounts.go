// This file owns the --mounts of a RUN.
// Each shows something that is made ready before the RUN begins, and given back when it has ended.

package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
	"github.com/gbuild/gbuild/pkg/toolcache"
)

// mounts makes the --mounts of one RUN ready.
type mounts struct {
	work   *work
	leases *toolcache.Leases
	tools  *toolcache.Caches
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
			mount, err = m.bind(ctx, d, m.work.in.states[i], m.work.in.paths[i])
		case dockerfile.MountCache:
			mount, err = m.cache(ctx, s, d, m.work.in.states[i])
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
		path, err := m.work.build.runs.scratch.File(f.Data, 0o755, 0, 0)
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
	if err := m.work.build.makeContext(ctx, d, state, source); err != nil {
		return nil, err
	}
	path, err := m.show(ctx, state, source)
	if err != nil {
		return nil, err
	}
	return &runtime.Mount{Type: "bind", Source: path, Target: d.Target, ReadOnly: d.ReadOnly}, nil
}

// show mounts a draft over a state, and returns where in it a path leads.
func (m *mounts) show(ctx context.Context, state layers.Key, source string) (string, error) {
	if err := m.work.build.states.ensure(ctx, state); err != nil {
		return "", err
	}
	draft, err := m.work.build.store.Draft(ctx, state)
	if err != nil {
		return "", err
	}
	m.leases.Later(draft.Discard)
	inside, _, err := draft.Lower().Resolve("/"+source, true)
	if err != nil {
		return "", fmt.Errorf("%q: not found: %w", source, err)
	}
	m.leases.Later(draft.Unmount)
	return draft.Show(ctx, inside) // nobody else can change this draft: the path stays what Resolve saw
}

// cache shows a directory that outlives the build. One with from= is filled with the files of a state when it is new.
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
	lease, dir, err := m.leases.Take(ctx, d.ID, pipcache.Sharing(d.Sharing), o)
	if err != nil {
		return nil, err
	}
	m.tools.NoteMount(s, d, lease)
	if d.From == nil && filepath.Clean("/"+d.Source) != "/" {
		if dir, err = m.subdirectory(dir, d.Source); err != nil {
			return nil, err
		}
	}
	return &runtime.Mount{Type: "bind", Source: dir, Target: d.Target, ReadOnly: d.ReadOnly}, nil
}

// subdirectory pins source=DIR of a cache mount: other builds may write to the cache right now, so the directory is
// opened in-root and bound by descriptor, never mounted by its path. Where nothing can be mounted, a command has its caches alone, and the
// path is that which the descriptor had.
func (m *mounts) subdirectory(dir, source string) (string, error) {
	if err := pathrs.MkdirAll(dir, source, 0o755); err != nil {
		return "", err
	}
	f, err := pathrs.OpenInRoot(dir, source)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if !host.Entered() {
		return os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	}
	pin, err := m.work.build.runs.scratch.Dir("mount")
	if err != nil {
		return "", err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), pin, "", unix.MS_BIND, ""); err != nil {
		return "", fmt.Errorf("binding %s of the cache: %w", source, err)
	}
	m.leases.Later(func() error { return unix.Unmount(pin, unix.MNT_DETACH) })
	return pin, nil
}

// seed fills a new cache with the files that from= and source= name.
func (m *mounts) seed(ctx context.Context, state layers.Key, source, dir string) error {
	view, err := m.work.build.states.view(ctx, state)
	if err != nil {
		return err
	}
	return files.CopyTree(ctx, files.ViewTree(view), source, dir)
}

// secret shows a secret as a file, or gives it as a variable.
func (m *mounts) secret(d *dockerfile.Mount, env []string) (*runtime.Mount, []string, error) {
	secret, ok := m.work.build.req.Secrets[d.ID]
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
	path, err := m.work.build.runs.scratch.File(secret.Data, valueOr(d.Mode, 0o400), valueOr(d.UID, 0), valueOr(d.GID, 0))
	return &runtime.Mount{Type: "bind", Source: path, Target: d.Target, ReadOnly: true, Secret: true}, env, err
}

// errNoSecret says that the command line lacks a secret that is required.
func errNoSecret(id string) error {
	return hint.Errorf(fmt.Sprintf("give it with --secret id=%s,src=FILE or --secret id=%s,env=NAME", id, id), "secret %s: not found", id)
}

// valueOr is a value, or what stands for it where it is not given.
func valueOr[T any](v *T, otherwise T) T {
	if v == nil {
		return otherwise
	}
	return *v
}
