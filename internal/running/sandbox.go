// This file owns the order in which the parts of the options fill in the sandbox of a container.

package running

import (
	"cmp"
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// sandbox puts together what the flags and the image's config say. A part that comes later sees what those before it have
// filled in: a shared cache goes where the environment says unless something is mounted there, the devices read the
// environment, and /dev/shm is larger where there are devices.
func (l *launch) sandbox(ctx context.Context, config *v1.Config, image *rootfs.View) (*runtime.Sandbox, error) {
	a, o := l.app, l.options
	mode, err := l.mode()
	if err != nil {
		return nil, err
	}
	id, err := runtime.LookupUser(image.Follow, cmp.Or(o.Process.User, config.User))
	if err != nil {
		return nil, err
	}
	box := &runtime.Sandbox{Isolation: mode.Isolation, UID: id.UID, GID: id.GID, Groups: id.Groups, Hostname: o.Network.nameOf(l.container), Notice: a.Notice}
	if err := o.fill(ctx, a, box, filling{config, image.Follow, id.Home, l.container.Dir()}); err != nil {
		return nil, err
	}
	box.Limits, box.Cgroup = o.Limits.parsed, a.Env(cgroupVar)
	return box, nil
}

// filling is what of the image and the container the parts need.
type filling struct {
	config *v1.Config
	open   func(path string) (io.ReadCloser, error) // opens a file of the image
	home   string                                   // of the user
	dir    string                                   // of the container
}

// fill lets each part put what it means into the sandbox.
func (o *Options) fill(ctx context.Context, a *cli.App, box *runtime.Sandbox, from filling) error {
	for _, fill := range []func() error{
		func() error { return o.Process.fill(box, from.config) },
		func() error { return o.Process.fillGroups(box, from.open) },
		func() error { return o.Mounts.fill(box) },
		func() error { return o.Entry.fillVolumesFrom(box, a) },
		func() error { return o.Process.fillEnv(box, from.config, a) },
		func() error { return o.Box.fillKeepID(box, o.Process.User) },
		func() error { return o.Box.settleKeepID(box, o.Process.User, a) },
		func() error { return o.Box.fill(box, a.Streams.Reader(ctx)) },
		func() error { return o.Network.fill(box) },
		func() error { return o.Kernel.fill(box) },
		func() error { return o.Caches.fill(box, from.home, a.Environ) },
		func() error { return o.Devices.fill(box, from.dir) },
		func() error { return o.Box.fillShm(box, o.Devices.haveGPU(box)) },
		func() error { o.Others.fill(box.Notice); return nil },
	} {
		if err := fill(); err != nil {
			return err
		}
	}
	return nil
}

// mode decides how the sandbox is made here, and says where that could be better.
func (l *launch) mode() (host.Mode, error) {
	want, err := l.options.Isolation.Parse(l.app.Environ)
	if err != nil {
		return host.Mode{}, err
	}
	m, err := l.app.Mode(want)
	if said := m.String(); err == nil && said != "" {
		l.app.Notice(said)
	}
	return m, err
}
