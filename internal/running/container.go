// This file owns the process of gbuild run that is in the namespaces of its container: it makes ready what the container
// needs, and lives as long as the container does.

package running

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// runEntered runs the container; this process is in its namespaces and holds the container's lock.
func (l *launch) runEntered(ctx context.Context) (err error) {
	// From here on a signal is the command's, and no longer ends this process.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	relay := container.NewRelay(func(s syscall.Signal) { cancel(cli.Interrupted(s)) })
	defer cli.PassOn(l.heed(relay), l.signals()...)()
	l.options.Devices.look(ctx, l.app.Environ)
	store, err := l.app.OpenStore(l.app.Notice)
	if err != nil {
		return err
	}
	defer store.Close()
	fresh := l.container.State == ""
	config, key, err := l.image(ctx, store)
	if err != nil {
		return err
	}
	// The draft is the container's writable layer. It outlives restarts within this session, and is discarded when the session
	// ends, however that happens. What was written stays where the container can be started again.
	d, err := store.Draft(ctx, key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Discard()) }()
	private := d.Private()
	if l.stays() {
		private = l.container.VolumesDir()
		if err := errors.Join(d.KeepIn(l.container.FilesDir()), os.MkdirAll(private, 0o700)); err != nil {
			return err
		}
		defer func() {
			if fresh && l.container.Status == container.StatusCreated { // its files are gone before the entry, which others remove
				err = errors.Join(err, os.RemoveAll(l.container.FilesDir()), os.RemoveAll(private))
			}
		}()
	}
	box, err := l.sandbox(ctx, &config.Config, d.Lower())
	if err != nil {
		return err
	}
	published, err := l.options.Network.publishAll(box, config.Config.ExposedPorts)
	if err != nil {
		return err
	}
	l.container.Mounts = mountsOf(box)
	// Volumes are released after the sandbox has ended and before the draft is gone: deferred calls run in that order.
	release, err := l.bindVolumes(ctx, box, private, d.Lower())
	defer func() { err = errors.Join(err, release()) }()
	if err != nil {
		return err
	}
	c, life := l.container, &l.options.Life
	// The image's own stop signal is second to the flag. Both are written down for gbuild stop, which never sees the image.
	c.Ports = append(c.Ports, published...)
	c.Command, c.StopSignal = box.Args, cmp.Or(life.StopSignal, config.Config.StopSignal, "SIGTERM")
	policy := life.policy
	if l.app.Env(onceVar) != "" {
		policy = container.Restart{}
	}
	s := &container.Session{Container: c, Relay: relay, Restart: policy, Once: runOnce(box, l.options.Process.Interactive), User: usersOf(box, d.Lower()), Notice: l.app.Notice,
		Check: l.options.Health.check(&config.Config)}
	return l.runInDraft(ctx, box, d, s)
}

// signals are those that this process does not keep to itself. Where the command has a terminal, a change of size comes by that.
func (l *launch) signals() []os.Signal {
	return slices.DeleteFunc(host.HandedOn(), func(s os.Signal) bool { return l.options.Process.TTY && s == syscall.SIGWINCH })
}

// heed says what becomes of a signal: the command gets it, or, with --sig-proxy=false, it ends the container, if it is one that
// ends programs by custom.
func (l *launch) heed(relay *container.Relay) func(syscall.Signal) {
	if l.options.Life.SigProxy || l.container.Detached {
		return relay.Hand
	}
	return func(s syscall.Signal) {
		if slices.Contains([]syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}, s) {
			relay.End(s)
		}
	}
}

// bindVolumes leases the volumes of the sandbox until release is called, also after an error. Those without a name lie in private.
func (l *launch) bindVolumes(ctx context.Context, box *runtime.Sandbox, private string, image *rootfs.View) (release func() error, err error) {
	volumes, err := l.app.Volumes()
	if err != nil {
		return func() error { return nil }, err
	}
	// An empty volume is filled with what the image has at its target, as docker does.
	return volumes.Bind(ctx, box.Mounts, private, func(target, dir string) error { return files.CopyDirectory(ctx, image, target, dir) })
}

// runOnce is the sandbox as a session runs it. A detached command reads what those say who attach, if it reads anything.
func runOnce(box *runtime.Sandbox, interactive bool) func(context.Context, container.Input, func(container.Process)) error {
	return func(ctx context.Context, in container.Input, started func(container.Process)) error {
		box.Started = func(p *runtime.Process) { started(p) }
		if in.Stdin != nil && interactive {
			box.Stdin = in.Stdin
		}
		if in.Resize != nil && box.Terminal != nil {
			box.Terminal.Resize = in.Resize
		}
		return box.Run(ctx)
	}
}

// usersOf is how a session finds the user of an exec. It finds users of the image, and that of the sandbox where no name is given.
func usersOf(box *runtime.Sandbox, image *rootfs.View) func(string) (runtime.Identity, error) {
	return func(name string) (runtime.Identity, error) {
		if name == "" {
			return runtime.Identity{UID: box.UID, GID: box.GID, Groups: box.Groups}, nil
		}
		return runtime.LookupUser(image.Follow, name)
	}
}

// runInDraft runs the session on the files of a draft, which are the container's own: they vanish with it.
func (l *launch) runInDraft(ctx context.Context, box *runtime.Sandbox, d *layers.Draft, s *container.Session) (err error) {
	if box.Root, err = d.Mount(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Unmount()) }()
	if err := makeRootFiles(box.Root, box.Hostname); err != nil {
		return fmt.Errorf("making the files of every container: %w", err)
	}
	// Owners are changed in the mounted overlay, so each file that is touched is copied up once, for this container only.
	if box.KeepID != nil {
		if err := giveToUser(d.Lower(), box.Root, box.KeepID); err != nil {
			return err
		}
	}
	box.StateDir = d.Private()
	restore, err := l.connect(box, s)
	if err != nil {
		return err
	}
	// A terminal in raw mode must not outlive the command, so it is set back also after an error.
	defer restore()
	return s.Run(ctx)
}

// connect gives the command its input and output: the caller's, or those of a session, with a log.
func (l *launch) connect(box *runtime.Sandbox, s *container.Session) (restore func(), err error) {
	a, p := l.app, &l.options.Process
	restore = func() {}
	if l.container.Detached {
		log, err := l.container.OpenLog(l.options.Life.log)
		if err != nil {
			return nil, err
		}
		s.Streams, s.Expected = &container.Streams{}, a.Env(attachedVar) != ""
		box.Stdout, box.Stderr = s.Streams.Output(false, log.Stream("stdout")), s.Streams.Output(true, log.Stream("stderr"))
		if p.TTY { // nobody looks at it, so it has the size of old
			box.Terminal = &runtime.Terminal{Size: runtime.TerminalSize{Rows: 24, Cols: 80}}
		}
		return func() { log.Close() }, nil
	}
	box.Stdout, box.Stderr = a.RawOut, a.RawErr
	if p.Interactive {
		box.Stdin = a.Stdin
	}
	if p.TTY {
		box.Terminal, restore, err = cli.OpenTerminal(a.Stdin, a.RawOut, p.Interactive)
	}
	return restore, err
}

// giveToUser gives the files of the image that belong to the kept user to 0, who is that user in the sandbox. A group that
// is root's stays so.
func giveToUser(view *rootfs.View, root string, k *runtime.KeepID) error {
	if k.UID == 0 {
		return nil
	}
	return view.Walk("/", func(e *rootfs.Entry) error {
		owner := e.Owner()
		if owner.UID == k.UID {
			owner.UID = 0
		}
		if owner.GID == k.GID {
			owner.GID = 0
		}
		if owner == e.Owner() {
			return nil
		}
		if err := rootfs.Kept(owner.GivePath(root + e.Path)); err != nil {
			return fmt.Errorf("giving %s to the user: %w", e.Path, err)
		}
		return nil
	})
}
