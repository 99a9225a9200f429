package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/docker/go-units"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/bases"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/runtime"
)

func (a *app) findImage(ctx context.Context, store *layers.Store, o *runOptions, name string) (v1.Image, error) {
	var platform v1.Platform
	if o.platform != "" {
		p, err := v1.ParsePlatform(o.platform)
		if err != nil {
			return nil, usagef("--platform %s: %w", o.platform, err)
		}
		platform = *p
	}
	if img, err := bases.Local(store, name); err == nil && o.pull != "always" {
		return img, bases.CheckPlatform(img, name, platform)
	}
	if ref, err := image.ParseRef(name); o.pull == "never" && (err != nil || ref.Kind == image.KindRegistry) {
		return nil, hint.Errorf("gbuild images lists those that there are", "no local image %s, and --pull never", name)
	}
	show := a.plainDisplay(true)
	f := &bases.Finder{Store: store, Options: a.registries.options(), Pull: o.pull == "always", Notice: show.notice}
	return f.Find(ctx, name, platform)
}

// openDraft makes a writable state over the image; an image that was built here is already unpacked.
func openDraft(ctx context.Context, store *layers.Store, img v1.Image) (*layers.Draft, error) {
	key, err := build.StateOf(store, img)
	if err != nil || !store.Has(key) {
		list, err := img.Layers()
		if err != nil {
			return nil, err
		}
		if key, err = store.Unpack(ctx, list, func(int64, int64) {}); err != nil {
			return nil, fmt.Errorf("unpacking the image: %w", err)
		}
	}
	return store.Draft(ctx, key)
}

// sandbox puts together what the flags and the image's config say.
func (a *app) sandbox(ctx context.Context, o *runOptions, c *container.Container, config *v1.Config, view *layers.View) (*runtime.Sandbox, error) {
	id, err := runtime.LookupUser(view.Follow, cmp.Or(o.user, config.User))
	if err != nil {
		return nil, err
	}
	args := containerArgs(o, config, c.Command)
	if len(args) == 0 {
		return nil, hint.Errorf("give one after the image's name", "the image has no command")
	}
	mounts, err := o.allMounts()
	if err != nil {
		return nil, err
	}
	o.noticeOwners(a.notice)
	hostname := o.containerHostname(c)
	env, err := a.containerEnv(o, config, hostname)
	if err != nil {
		return nil, err
	}
	box := &runtime.Sandbox{Args: args, Env: env, Dir: cmp.Or(o.workdir, config.WorkingDir, "/"), UID: id.UID, GID: id.GID, Groups: id.Groups,
		Mounts: mounts, Network: sandboxNetwork(o.network), Hostname: hostname, ReadOnlyRoot: o.readOnly, Ulimits: o.ulimits, CapAdd: o.capAdd, CapDrop: o.capDrop,
		HostIPC: o.ipc == "host", Reaper: o.init, Insecure: o.privileged, Notice: a.notice}
	for _, set := range []func() error{
		func() error { return o.keepID(box) },
		func() error { return a.setSecurity(ctx, o, box) },
		func() error { return o.setHosts(box) },
		func() error { return a.cacheMounts(o, box, id.Home) },
		func() error { return a.addDevices(ctx, o, c, box) },
		func() error { return o.setShm(box) },
	} {
		if err := set(); err != nil {
			return nil, err
		}
	}
	if box.Limits, err = o.limits(); err != nil {
		return nil, err
	}
	box.Cgroup = a.env(cgroupVar)
	box.Ports, err = o.receivePorts()
	return box, err
}

func (o *runOptions) containerHostname(c *container.Container) string {
	if o.hostname != "" {
		return o.hostname
	}
	if name, err := os.Hostname(); o.network == "host" && err == nil {
		return name
	}
	return c.ShortID()
}

func containerArgs(o *runOptions, c *v1.Config, command []string) []string {
	if o.entrypointGiven {
		if o.entrypoint == "" {
			return command
		}
		return append([]string{o.entrypoint}, command...)
	}
	if len(command) == 0 {
		command = c.Cmd
	}
	return append(append([]string{}, c.Entrypoint...), command...)
}

// keepID reads --userns.
func (o *runOptions) keepID(box *runtime.Sandbox) error {
	mode, options, _ := strings.Cut(o.userns, ":")
	switch mode {
	case "", "host", "private":
		return nil
	case "keep-id":
	default:
		return usagef("--userns %s: it is keep-id[:uid=UID,gid=GID]", o.userns)
	}
	k := &runtime.KeepID{UID: box.UID, GID: box.GID}
	for _, f := range strings.FieldsFunc(options, func(c rune) bool { return c == ',' }) {
		key, value, _ := strings.Cut(f, "=")
		var err error
		switch key {
		case "uid":
			_, err = fmt.Sscan(value, &k.UID)
		case "gid":
			_, err = fmt.Sscan(value, &k.GID)
		default:
			err = errors.New("unknown option")
		}
		if err != nil {
			return usagef("--userns %s: %s: %w", o.userns, f, err)
		}
	}
	if options != "" && o.user == "" {
		box.UID, box.GID = k.UID, k.GID
	}
	box.KeepID = k
	return nil
}

func (a *app) setSecurity(ctx context.Context, o *runOptions, box *runtime.Sandbox) error {
	for _, s := range o.security {
		key, value := securityOption(s)
		switch {
		case key == "no-new-privileges":
			box.NoNewPrivileges = value != "false"
		case key == "systempaths" && value == "unconfined":
			box.Unmasked = true
		case key == "seccomp" && (value == "unconfined" || value == ""):
			box.Seccomp = "unconfined"
		case key == "seccomp":
			b, err := a.streams.read(ctx, value)
			if err != nil {
				return fmt.Errorf("reading the profile of --security-opt: %w", err)
			}
			box.Seccomp = string(b)
		case key == "label", key == "apparmor":
			// Neither is used by gbuild: both are as unconfined as can be.
		default:
			return usagef("--security-opt %s: it is no-new-privileges, seccomp=unconfined|FILE or systempaths=unconfined", s)
		}
	}
	return nil
}

func securityOption(s string) (key, value string) {
	key, value, _ = strings.Cut(strings.Replace(s, ":", "=", 1), "=")
	return key, value
}

// keepProfiles reads filters of --security-opt that the processes which follow cannot read.
func (a *app) keepProfiles(ctx context.Context, o *runOptions) error {
	for _, s := range o.security {
		if key, value := securityOption(s); key == "seccomp" && isStream(value) {
			if _, err := a.streams.read(ctx, value); err != nil {
				return fmt.Errorf("reading the profile of --security-opt: %w", err)
			}
		}
	}
	return nil
}

func (o *runOptions) setHosts(box *runtime.Sandbox) error {
	for _, h := range o.hosts {
		name, address, ok := strings.Cut(h, "=")
		if !ok {
			name, address, ok = strings.Cut(h, ":")
		}
		if address == "host-gateway" {
			address = o.hostGateway()
		}
		address = strings.Trim(address, "[]")
		if !ok || name == "" || net.ParseIP(address) == nil {
			return usagef("--add-host %s: it is NAME:ADDRESS", h)
		}
		box.Hosts = append(box.Hosts, runtime.HostEntry{Name: name, Addr: address})
	}
	return nil
}

// hostGateway is an address of the host that the container can reach.
func (o *runOptions) hostGateway() string {
	all, err := net.InterfaceAddrs()
	if err != nil || o.network == "host" {
		return "127.0.0.1"
	}
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	return "127.0.0.1"
}

// setShm makes /dev/shm as large as asked; with a GPU it is half of the memory, for data loaders share batches there.
func (o *runOptions) setShm(box *runtime.Sandbox) error {
	if o.shmSize != "" {
		n, err := units.RAMInBytes(o.shmSize)
		if err != nil || n <= 0 {
			return usagef("--shm-size %s: it is a size such as 8g", o.shmSize)
		}
		box.ShmSize = n
		return nil
	}
	if len(box.Devices) > 0 {
		box.ShmSize = max(halfOfMemory(), 64<<20)
	}
	return nil
}

func halfOfMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit) / 2
}
