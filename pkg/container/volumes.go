// This file owns named volumes: directories that outlive containers, leased as caches are, but never removed with them.

package container

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// The types of a mount whose source is the name of a volume. They become binds, see Volumes.Bind.
const (
	VolumeMount      = "volume"
	EmptyVolumeMount = "volume-nocopy" // a new volume does not begin with what the image has in its place
)

// IsVolume says whether a mount is that of a volume.
func IsVolume(m runtime.Mount) bool { return m.Type == VolumeMount || m.Type == EmptyVolumeMount }

// Volumes is a directory of volumes, which is made when it is first needed.
type Volumes struct{ Dir string }

// Volume is one of them.
type Volume = pipcache.Info

// Bind leases the volumes among the mounts, which become binds, until release is called; also after an error. A new volume
// is filled by copyOut with what the image has at the mount's target. One without a name becomes a directory in private, which goes
// with its container.
func (v Volumes) Bind(ctx context.Context, mounts []runtime.Mount, private string, copyOut func(target, dir string) error) (release func() error, err error) {
	var leases []*pipcache.Lease
	release = func() (err error) {
		for _, l := range leases {
			err = errors.Join(err, l.Release())
		}
		return err
	}
	for i := range mounts {
		m := &mounts[i]
		if !IsVolume(*m) {
			continue
		}
		if m.Source == "" {
			if err := makeAnonymous(m, private, copyOut); err != nil {
				return release, fmt.Errorf("making the volume of %s: %w", m.Target, err)
			}
			continue
		}
		lease, err := v.lease(ctx, *m, copyOut)
		if err != nil {
			return release, err
		}
		leases = append(leases, lease)
		m.Type, m.Source = "bind", lease.Dir()
	}
	return release, nil
}

// makeAnonymous makes a volume without a name, or finds that of an earlier start of its container.
func makeAnonymous(m *runtime.Mount, private string, copyOut func(target, dir string) error) error {
	dir := filepath.Join(private, fmt.Sprintf("volume-%.8x", sha256.Sum256([]byte(m.Target))))
	empty := m.Type == EmptyVolumeMount
	m.Type, m.Source = "bind", dir
	if exists(dir) {
		return nil
	}
	// It gets its name when it has all that the image has there.
	fresh, err := os.MkdirTemp(private, "new-")
	if err == nil {
		err = os.Chmod(fresh, 0o755)
	}
	if err == nil && !empty {
		if err = copyOut(m.Target, fresh); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err == nil {
		err = os.Rename(fresh, dir)
	}
	return err
}

func (v Volumes) lease(ctx context.Context, m runtime.Mount, copyOut func(target, dir string) error) (*pipcache.Lease, error) {
	caches, err := pipcache.Open(v.Dir)
	if err != nil {
		return nil, err
	}
	if caches.OtherKind(m.Source, pipcache.Options{}) {
		return nil, hint.Errorf("run where it was made, or give the volume another name",
			"volume %s: whom its files belong to is kept in a way that is not the one here: with all ids, or with one", m.Source)
	}
	lease, err := caches.Acquire(ctx, m.Source, pipcache.Shared, pipcache.Options{Seed: func(dir string) error {
		if m.Type == EmptyVolumeMount {
			return nil
		}
		if err := copyOut(m.Target, dir); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}})
	if err != nil {
		return nil, fmt.Errorf("volume %s: %w", m.Source, err)
	}
	return lease, nil
}

// List returns all volumes, the one that was used last first.
func (v Volumes) List() ([]Volume, error) {
	caches, err := pipcache.Open(v.Dir)
	if err != nil {
		return nil, err
	}
	return caches.List()
}

// Find finds volumes by their whole names: the start of one must not remove another.
func (v Volumes) Find(names ...string) (found []Volume, err error) {
	list, err := v.List()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		i := slices.IndexFunc(list, func(v Volume) bool { return v.ID == name })
		if i < 0 {
			return nil, hint.Errorf("gbuild volume ls lists those that there are", "no such volume: %s", name)
		}
		found = append(found, list[i])
	}
	return found, nil
}

// Remove removes a volume that no container uses, with what is in it. One that has ended uses its volumes still: it may start again.
func (v Volumes) Remove(ctx context.Context, one Volume, all *Registry) error {
	list, err := all.List()
	if err != nil {
		return err
	}
	for _, c := range list {
		if slices.ContainsFunc(c.Mounts, func(m MountPoint) bool { return m.Type == VolumeMount && m.Name == one.ID }) {
			return hint.Errorf("remove the container first, if it is not needed any more: gbuild rm "+c.Name, "volume %s is in use by container %s", one.ID, c.Name)
		}
	}
	caches, err := pipcache.Open(v.Dir)
	if err != nil {
		return err
	}
	_, err = caches.Remove(ctx, one.Key)
	var busy *pipcache.BusyError
	if errors.As(err, &busy) {
		return hint.Errorf("gbuild ps lists the containers: stop those that use it", "volume %s is in use by %s", one.ID, busy.Holder)
	}
	return err
}
