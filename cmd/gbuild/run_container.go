// This file owns the process of gbuild run that is in the namespaces of its container: it makes ready what the container
// needs, and lives as long as the container does.

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// runEntered runs the container; this process is in its namespaces and holds the container's lock.
func (a *app) runEntered(ctx context.Context, o *runOptions, c *container.Container, name string, command []string) (err error) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	relay := container.NewRelay(func(s syscall.Signal) { cancel(interrupted{s}) })
	defer passOn(relay.Hand, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)()
	store, err := a.openStore(a.notice)
	if err != nil {
		return err
	}
	defer store.Close()
	img, err := a.findImage(ctx, store, o, name)
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	d, err := openDraft(ctx, store, img)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Discard()) }()
	box, err := a.sandbox(ctx, o, c, &config.Config, d.Lower())
	if err != nil {
		return err
	}
	volumes, err := openVolumes(a)
	if err != nil {
		return err
	}
	release, err := volumes.Bind(ctx, box.Mounts, func(target, dir string) error { return files.CopyDirectory(ctx, d.Lower(), target, dir) })
	defer func() { err = errors.Join(err, release()) }()
	if err != nil {
		return err
	}
	c.StopSignal = cmp.Or(o.stopSignal, config.Config.StopSignal, "SIGTERM")
	c.Command = box.Args
	restart, err := container.ParseRestart(o.restart)
	if err != nil {
		return err
	}
	s := &container.Session{Container: c, Relay: relay, Restart: restart, Once: runOnce(box), User: usersOf(box, d.Lower()), Notice: a.notice}
	return a.runInDraft(ctx, o, box, d, s)
}

// runOnce is the sandbox as a session runs it.
func runOnce(box *runtime.Sandbox) func(context.Context, func(container.Process)) error {
	return func(ctx context.Context, started func(container.Process)) error {
		box.Started = func(p *runtime.Process) { started(p) }
		return box.Run(ctx)
	}
}

// usersOf finds users of the image, and that of the sandbox where no name is given.
func usersOf(box *runtime.Sandbox, image *layers.View) func(string) (runtime.Identity, error) {
	return func(name string) (runtime.Identity, error) {
		if name == "" {
			return runtime.Identity{UID: box.UID, GID: box.GID, Groups: box.Groups}, nil
		}
		return runtime.LookupUser(image.Follow, name)
	}
}

// runInDraft runs the session on the files of a draft.
func (a *app) runInDraft(ctx context.Context, o *runOptions, box *runtime.Sandbox, d *layers.Draft, s *container.Session) (err error) {
	if box.Root, err = d.Mount(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Unmount()) }()
	if box.KeepID != nil {
		if err := giveToUser(d.Lower(), box.Root, box.KeepID); err != nil {
			return err
		}
	}
	box.StateDir = d.Private()
	restore, err := a.connect(o, box, s.Container)
	if err != nil {
		return err
	}
	defer restore()
	return s.Run(ctx)
}

// connect gives the command its input and output: the caller's, or a log.
func (a *app) connect(o *runOptions, box *runtime.Sandbox, c *container.Container) (restore func(), err error) {
	restore = func() {}
	if c.Detached {
		log, err := c.OpenLog()
		if err != nil {
			return nil, err
		}
		box.Stdout, box.Stderr = log.Stream("stdout"), log.Stream("stderr")
		if o.tty {
			box.Terminal = &runtime.Terminal{Size: runtime.TerminalSize{Rows: 24, Cols: 80}}
		}
		return func() { log.Close() }, nil
	}
	box.Stdout, box.Stderr = a.rawOut, a.rawErr
	if o.interactive {
		box.Stdin = a.stdin
	}
	if o.tty {
		box.Terminal, restore, err = openTerminal(a.stdin, a.rawOut, o.interactive)
	}
	return restore, err
}

// giveToUser gives the files of the image that belong to the kept user to 0, who is that user in the sandbox.
func giveToUser(view *layers.View, root string, k *runtime.KeepID) error {
	if k.UID == 0 {
		return nil
	}
	return view.Walk("/", func(e *layers.Entry) error {
		uid, gid := -1, -1
		if e.UID == k.UID {
			uid = 0
		}
		if e.GID == k.GID && k.GID != 0 {
			gid = 0
		}
		if uid < 0 && gid < 0 {
			return nil
		}
		if err := os.Lchown(root+e.Path, uid, gid); err != nil {
			return fmt.Errorf("giving %s to the user: %w", e.Path, err)
		}
		return nil
	})
}
