package build

import (
	"fmt"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// runKey names the state after a RUN. mounts has, for every mount with a source, the digest of what it shows.
// Left out on purpose: proxy variables, the bytes of secrets, the content of cache mounts.
func runKey(parent layers.Key, s *dockerfile.Run, p v1.Platform, limits Limits, mounts [][32]byte) layers.Key {
	r := newRecipe("run", parent)
	r.text(p.String(), s.Dir, s.User, s.Network, s.Security, s.Hostname)
	r.list(s.Args)
	r.list(s.Env)
	r.text("files", strconv.Itoa(len(s.Files)))
	for _, f := range s.Files {
		r.text(f.Path)
		r.bytes(f.Data)
	}
	r.text("devices", strconv.Itoa(len(s.Devices)))
	for _, d := range s.Devices {
		r.text(d.Name, strconv.FormatBool(d.Required))
	}
	r.text("limits", strconv.FormatInt(limits.ShmSize, 10))
	r.list(limits.Ulimits)
	r.list(limits.hostNames())
	if len(limits.Devices) > 0 {
		r.text("given devices")
		r.list(limits.Devices)
	}
	r.text("mounts", strconv.Itoa(len(s.Mounts)))
	for i := range s.Mounts {
		describeMount(r, &s.Mounts[i])
		r.bytes(mounts[i][:])
	}
	return r.key()
}

func describeMount(r recipe, m *dockerfile.Mount) {
	r.text(string(m.Type), m.Target, m.Source, m.ID, m.Sharing, m.Env,
		fmt.Sprint(m.ReadOnly, m.Required, m.HasTarget, m.Size))
	r.text(optional(m.UID), optional(m.GID), optional(m.Mode))
}

func optional[T any](v *T) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprint(*v)
}

// copyKey names the state after a COPY or ADD; content is the digest of what it selects (files.DigestCopy).
func copyKey(parent layers.Key, s *dockerfile.Copy, content [32]byte, epoch *int64) layers.Key {
	r := newRecipe("copy", parent)
	r.text(s.Dest, s.Chown, s.Chmod, fmt.Sprint(s.Add, s.Link, s.Parents), optional(s.Unpack), optional(s.KeepGit), optional(epoch))
	r.text(strconv.FormatBool(s.From.Kind == dockerfile.FromContext)) // a context's files belong to root
	r.bytes(content[:])
	return r.key()
}

// mkdirKey names the state after a WORKDIR.
func mkdirKey(parent layers.Key, s *dockerfile.Mkdir, epoch *int64) layers.Key {
	r := newRecipe("mkdir", parent)
	r.text(s.Path, s.User, optional(epoch))
	return r.key()
}
