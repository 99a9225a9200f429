// This file owns the translation of a sandbox into libcontainer's configuration. It, filter.go and container.go are the only
// files that know libcontainer, whose API has no promise.

package runtime

import (
	"io"
	"slices"

	"github.com/opencontainers/runc/libcontainer/capabilities"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// prepared is what of a sandbox is there before its container is made.
type prepared struct {
	id     string // the container's name
	dir    string // private, removed in the end
	root   string // see bindRoot
	net    *connection
	mounts []lateMount
	env    []string                                 // the environment of the first process, HOME included
	open   func(path string) (io.ReadCloser, error) // opens a file of the root
	calls  *supervision
	hooks  []DeviceHook
	bundle string // the directory in which hooks find a configuration; "" without hooks
}

// configure translates the sandbox for libcontainer. There is no user namespace in it but for KeepID: this process is in that
// already.
func configure(s *Sandbox, p *prepared) (*configs.Config, error) {
	known := capabilities.KnownCapabilities()
	caps, err := grant(known, s.Insecure, s.CapAdd, s.CapDrop)
	if err != nil {
		return nil, err
	}
	if host.Bare() {
		caps = held(known, caps)
	}
	if host.Bare() && !s.Insecure {
		caps = slices.DeleteFunc(caps, func(name string) bool { return name == "CAP_MKNOD" }) // see withholdsMknod
	}
	c := &configs.Config{
		Rootfs:          p.root,
		Readonlyfs:      s.ReadOnlyRoot,
		Namespaces:      namespaces(s, p.net),
		Mounts:          mounts(p.mounts),
		Capabilities:    &configs.Capabilities{Bounding: caps, Permitted: caps, Effective: caps},
		RootlessCgroups: true,
		Cgroups:         cgroupOf(p.id, s),
		Version:         specs.Version,
		Umask:           new(uint32(0o022)), // said for Exec, too, whose process would have the caller's
		Hooks:           hooks(p.hooks),
		NoNewPrivileges: s.NoNewPrivileges,
		OomScoreAdj:     s.OOMScoreAdj,
		Sysctl:          s.Sysctls,
	}
	if s.ownHostname() {
		c.Hostname, c.Domainname = s.hostname(), s.Domainname
	}
	if p.bundle != "" {
		c.Labels = []string{"bundle=" + p.bundle}
	}
	if p.net.loopback {
		c.Networks = []*configs.Network{{Type: "loopback"}}
	}
	if c.Rlimits, err = rlimits(s); err != nil {
		return nil, err
	}
	if !s.Insecure && !s.Unmasked {
		c.MaskPaths, c.ReadonlyPaths = maskedPaths(), readonlyPaths()
	}
	if c.Seccomp, err = filterOf(s, p.calls, caps); err != nil {
		return nil, err
	}
	if s.KeepID != nil {
		uids, gids := s.KeepID.mappings()
		c.UIDMappings, c.GIDMappings = idMappings(uids), idMappings(gids)
	}
	return c, nil
}

// namespaces are those that libcontainer makes or joins.
func namespaces(s *Sandbox, net *connection) configs.Namespaces {
	own := host.OwnParts()
	list := configs.Namespaces{{Type: configs.NEWNS}}
	for kind, has := range map[configs.NamespaceType]bool{
		configs.NEWPID: s.ownProcesses(), configs.NEWUTS: s.ownHostname(), configs.NEWCGROUP: own.Cgroup, configs.NEWIPC: !s.HostIPC, configs.NEWUSER: s.KeepID != nil,
	} {
		if has {
			list = append(list, configs.Namespace{Type: kind})
		}
	}
	if !net.host {
		list = append(list, configs.Namespace{Type: configs.NEWNET, Path: net.namespace})
	}
	return list
}

// mounts words late mounts for libcontainer, which makes them in their order.
func mounts(all []lateMount) []*configs.Mount {
	list := make([]*configs.Mount, len(all))
	for i, m := range all {
		out := &configs.Mount{Device: m.kind, Source: m.source, Destination: m.target, Flags: m.flags, Data: m.data}
		if m.private {
			out.PropagationFlags = []int{unix.MS_PRIVATE | unix.MS_REC}
		}
		if m.readOnlyBelow {
			out.RecAttr = &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		}
		list[i] = out
	}
	return list
}

func rlimits(s *Sandbox) ([]configs.Rlimit, error) {
	all, err := readUlimits(s.Ulimits, s.notice)
	out := make([]configs.Rlimit, len(all))
	for i, l := range all {
		out[i] = configs.Rlimit{Type: l.kind, Soft: l.soft, Hard: l.hard}
	}
	return out, err
}

func idMappings(ranges []host.IDRange) []configs.IDMap {
	out := make([]configs.IDMap, len(ranges))
	for i, r := range ranges {
		out[i] = configs.IDMap{ContainerID: int64(r.Inside), HostID: int64(r.Outside), Size: int64(r.Count)}
	}
	return out
}

// hooks sorts hooks by when they run; those of one time keep their order.
func hooks(all []DeviceHook) configs.Hooks {
	out := configs.Hooks{}
	for _, h := range all {
		command := &configs.Command{Path: h.Path, Args: h.Args, Env: h.Env}
		if h.Timeout > 0 {
			command.Timeout = &h.Timeout
		}
		name := configs.HookName(h.When)
		out[name] = append(out[name], configs.CommandHook{Command: command})
	}
	return out
}

// numbersOf are the numbers of capabilities. Of the known ones each is at its own.
func numbersOf(names []string) (numbers []int) {
	known := capabilities.KnownCapabilities()
	for _, name := range names {
		if at := slices.Index(known, name); at >= 0 {
			numbers = append(numbers, at)
		}
	}
	return numbers
}
