// This file owns the mounts of a RUN: what each type needs, and in what order they are made.

package dockerfile

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/gbuild/gbuild/internal/hint"
)

// mounts converts the mounts of a RUN, whose values are expanded already.
func (r *resolver) mounts(cmd *instructions.RunCommand) ([]Mount, error) {
	var out []Mount
	sockets := 0 // each has a target of its own unless it says one
	for _, m := range instructions.GetMounts(cmd) {
		mount := Mount{Type: MountType(m.Type), ReadOnly: m.ReadOnly, ID: m.CacheID, Size: m.SizeLimit, Required: m.Required,
			HasTarget: m.Target != "", UID: number(m.UID), GID: number(m.GID)}
		if m.Mode != nil {
			mode := uint32(*m.Mode)
			mount.Mode = &mode
		}
		var err error
		switch mount.Type {
		case MountSecret:
			err = mount.secret(m)
			addInput(r.seen.secrets, mount.ID, mount.Required, cmd)
		case MountSSH:
			err = mount.ssh(m, sockets)
			sockets++
			addInput(r.seen.sockets, mount.ID, mount.Required, cmd)
		default:
			err = r.files(&mount, m)
		}
		if err != nil {
			return nil, err
		}
		if !path.IsAbs(path.Clean(mount.Target)) {
			mount.Target = path.Join("/", r.config.Config.WorkingDir, mount.Target)
		}
		if mount.Target = path.Clean(mount.Target); mount.Target == "/" && mount.Type != MountSecret && mount.Type != MountSSH {
			return nil, fmt.Errorf("invalid mount target %q", "/")
		}
		out = append(out, mount)
	}
	// A mount below another one must come after it, whatever the order in the file.
	slices.SortStableFunc(out, func(a, b Mount) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Target, b.Target)*(1-rank(a)))
	})
	return out, nil
}

// rank puts secrets and sockets after what has files: they are single files on top.
func rank(m Mount) int {
	if m.Type == MountSecret || m.Type == MountSSH {
		return 1
	}
	return 0
}

// number is an id as steps have it; nil stays nil.
func number(n *uint64) *int {
	if n == nil {
		return nil
	}
	i := int(*n)
	return &i
}

// files fills in a mount that has files: bind, cache or tmpfs.
func (r *resolver) files(mount *Mount, m *instructions.Mount) error {
	if m.Target == "" {
		return hint.Errorf("write target=PATH; a variable in it may have no value", "mount of type %s has no target", m.Type)
	}
	mount.Target = m.Target
	if m.From != "" && mount.Type != MountTmpfs {
		src, err := r.stage.source(m.From, false)
		if err != nil {
			return fmt.Errorf("cannot mount %q: %w", m.Target, err)
		}
		mount.From = &src
	}
	mount.Source = path.Join("/", m.Source)
	if mount.Type != MountCache {
		return nil
	}
	if mount.ID == "" {
		mount.ID = path.Clean(m.Target)
	}
	if space := r.plan.args["BUILDKIT_CACHE_MOUNT_NS"]; space != "" {
		mount.ID = space + "/" + mount.ID
	}
	mount.Sharing = string(m.CacheSharing)
	if mount.Sharing == "" {
		mount.Sharing = string(instructions.MountSharingShared)
	}
	if mount.Source != "/" {
		mount.UID, mount.GID, mount.Mode = nil, nil, nil // BuildKit takes the owner of the source then
	}
	return nil
}

// secret fills in a mount that gives a secret as a file, a variable, or both.
func (m *Mount) secret(in *instructions.Mount) error {
	if in.Source != "" {
		m.ID = in.Source
	}
	if m.ID == "" {
		if m.ID = path.Base(in.Target); in.Target == "" {
			return errors.New("one of source, target required")
		}
	}
	m.Target = in.Target
	if m.Target == "" {
		m.Target = "/run/secrets/" + path.Base(m.ID)
	}
	if in.Env != nil {
		if m.Env = *in.Env; m.Env == "" {
			return hint.Errorf("write env=NAME", "secret %q has an empty name of a variable", m.ID)
		}
	}
	return nil
}

// ssh fills in a mount that gives the socket of an agent, the nth of the instruction.
func (m *Mount) ssh(in *instructions.Mount, n int) error {
	if in.Source != "" {
		return errors.New("ssh does not support source")
	}
	if m.ID == "" {
		m.ID = "default"
	}
	m.Target = in.Target
	if m.Target == "" {
		m.Target = fmt.Sprintf("/run/buildkit/ssh_agent.%d", n)
	}
	return nil
}
