// This file owns the order of a run: what is made for a sandbox, one thing after another, and taken away in the end. It is
// the only file that knows all the others.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// Run runs the command and waits for it. When it returns, no process of the sandbox is left, and the mount points that
// it had to make in Root are gone again where the command left them as they were. A command that fails is an
// *ExitError; what the host lacks is a *host.Missing.
func (s *Sandbox) Run(ctx context.Context) (err error) {
	if s.KeepID != nil && host.SingleID() { // what anybody in the sandbox makes is the caller's already
		own := *s
		own.KeepID, s = nil, &own
	}
	if err := s.check(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	switch {
	case s.Isolation == host.Ptrace:
		return s.runTraced(ctx)
	case s.Isolation.IsDirect():
		return s.runDirect(ctx)
	}
	dir, remove, err := privateDir(s.StateDir)
	if err != nil {
		return fmt.Errorf("making a directory for the sandbox: %w", err)
	}
	defer func() { err = errors.Join(err, remove()) }()
	return s.runIn(ctx, dir)
}

// privateDir makes a directory in memory, for files that live as long as the sandbox. It is a file system of its own for
// one more reason: libcontainer seals this program by an overlay of its directory and one of these, which must not lie
// below the former, and would have to copy the program for each sandbox otherwise.
func privateDir(state string) (dir string, remove func() error, err error) {
	if dir, err = os.MkdirTemp(state, "run-"); err != nil {
		return "", nil, err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0700"); err != nil {
		return "", nil, errors.Join(err, os.Remove(dir))
	}
	return dir, func() error { return errors.Join(unix.Unmount(dir, unix.MNT_DETACH), os.Remove(dir)) }, nil
}

// runIn makes the root, the network and the mounts, and runs the container; dir is private.
func (s *Sandbox) runIn(parent context.Context, dir string) (err error) {
	p := &prepared{id: "gbuild-" + filepath.Base(dir), dir: dir}
	if p.root, err = bindRoot(dir, s.Root); err != nil {
		return err
	}
	t, err := openTree(p.root)
	if err != nil {
		return errors.Join(err, unbindRoot(p.root))
	}
	defer func() { err = errors.Join(err, unbindRoot(p.root), t.close()) }()
	if p.net, err = connect(s); err != nil {
		return err
	}
	defer p.net.close()
	if err := s.fill(p, t); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	if p.calls, err = supervise(s, dir, cancel); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.calls.close()) }()
	config, err := configure(s, p)
	if err != nil {
		return err
	}
	if err := makeWorkDir(t, s); err != nil {
		return err
	}
	return runContainer(ctx, s, p, config)
}

// fill mounts what the sandbox shows, and finds out what libcontainer is told of it.
func (s *Sandbox) fill(p *prepared, t *tree) error {
	if err := provideCgroups(); err != nil {
		return err
	}
	own, err := hostFiles(p.dir, s, p.net.resolvConf)
	if err != nil {
		return err
	}
	if s.Reaper {
		reaper, err := copyReaper(p.dir)
		if err != nil {
			return err
		}
		own = append(own, reaper)
	}
	if err := mountDev(t, p.root, s); err != nil {
		return err
	}
	if err := attachDevices(t, s); err != nil {
		return err
	}
	if err := attachAll(t, s, own); err != nil {
		return err
	}
	tellHidden(t, s)
	p.mounts = lateMounts(t, s, p.net.host)
	if s.Cgroup == "" {
		closeCgroups()
	}
	p.open = t.open
	if p.env, err = environ(s, t.open); err != nil {
		return err
	}
	if p.hooks = hooksOf(s.Devices); len(p.hooks) == 0 {
		return nil
	}
	p.bundle, err = writeBundle(p, s.Args)
	return err
}
