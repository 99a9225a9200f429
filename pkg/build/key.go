// This file owns what the keys of steps are made of.

package build

import (
	"fmt"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/recipe"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// runKey names the state after a RUN. mounts has, for every mount with a source, the digest of what it shows.
// Left out on purpose: proxy variables, the bytes of secrets, the content of cache mounts.
func runKey(parent layers.Key, s *dockerfile.Run, p v1.Platform, limits Limits, mounts [][32]byte) layers.Key {
	r := recipe.New("run", parent)
	r.Text(p.String(), s.Dir, s.User, s.Network, s.Security, s.Hostname)
	r.List(s.Args)
	r.List(s.Env)
	r.Text("files", strconv.Itoa(len(s.Files)))
	for _, f := range s.Files {
		r.Text(f.Path)
		r.Bytes(f.Data)
	}
	r.Text("devices", strconv.Itoa(len(s.Devices)))
	for _, d := range s.Devices {
		r.Text(d.Name, strconv.FormatBool(d.Required))
	}
	r.Text("limits", strconv.FormatInt(limits.ShmSize, 10))
	r.List(limits.Ulimits)
	r.List(limits.hostNames())
	if len(limits.Devices) > 0 {
		r.Text("given devices")
		r.List(limits.Devices)
	}
	if len(limits.Ignore) > 0 {
		r.Text("ignored paths")
		r.List(limits.Ignore)
	}
	r.Text("mounts", strconv.Itoa(len(s.Mounts)))
	for i := range s.Mounts {
		describeMount(r, &s.Mounts[i])
		r.Bytes(mounts[i][:])
	}
	return r.Key()
}

// describeMount adds what of a mount decides what the RUN sees, beside the files that it shows.
func describeMount(r recipe.Recipe, m *dockerfile.Mount) {
	r.Text(string(m.Type), m.Target, m.Source, m.ID, m.Sharing, m.Env,
		fmt.Sprint(m.ReadOnly, m.Required, m.HasTarget, m.Size))
	r.Text(optional(m.UID), optional(m.GID), optional(m.Mode))
}

// optional is the text of a value that need not be given.
func optional[T any](v *T) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprint(*v)
}

// copyKey names the state after a COPY or ADD; content is the digest of what it selects (files.DigestCopy).
func copyKey(parent layers.Key, s *dockerfile.Copy, content [32]byte, epoch *int64) layers.Key {
	r := recipe.New("copy", parent)
	r.Text(s.Dest, s.Chown, s.Chmod, fmt.Sprint(s.Add, s.Link, s.Parents), optional(s.Unpack), optional(s.KeepGit), optional(epoch))
	r.Text(strconv.FormatBool(s.From.Kind == dockerfile.FromContext)) // a context's files belong to root
	r.Bytes(content[:])
	return r.Key()
}

// mkdirKey names the state after a WORKDIR.
func mkdirKey(parent layers.Key, s *dockerfile.Mkdir, epoch *int64) layers.Key {
	r := recipe.New("mkdir", parent)
	r.Text(s.Path, s.User, optional(epoch))
	return r.Key()
}
