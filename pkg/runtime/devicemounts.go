// This file owns what devices put into the root: their files and nodes, and the edits that their drivers need there. All of that comes
// before what the user mounts, so nothing is made in a directory of the host, and where both want the same place the user's is seen.

package runtime

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/host"
	"github.com/gbuild/gbuild/pkg/runtime/rootedit"
)

// attachDevices mounts the files and nodes of devices, and makes the edits of the root.
func attachDevices(t *tree, s *Sandbox) error {
	memory := []string{"/dev"}
	if s.linksNvidia() && !(rootedit.Place{Root: t.root}).Has(nvidiaDir) {
		if err := attachDevice(t, s, Mount{Type: "tmpfs", Target: nvidiaDir, Mode: new(uint32(0o755))}, 0); err != nil {
			return fmt.Errorf("mounting %s: %w", nvidiaDir, err)
		}
		memory = append(memory, nvidiaDir)
	}
	for _, e := range s.Devices {
		for _, n := range e.Devices {
			if err := attachDevice(t, s, nodeMount(n), unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC); err != nil {
				return fmt.Errorf("mounting device %s: %w", n.Target, err)
			}
		}
		for _, d := range e.Mounts {
			m, attr := d.mount()
			if err := attachDevice(t, s, m, attr); err != nil {
				return fmt.Errorf("mounting %s of a device: %w", d.Target, err)
			}
			if m.Type == "tmpfs" {
				memory = append(memory, path.Clean(m.Target))
			}
		}
	}
	root := s.KeepID.owner(0, 0)
	at := rootedit.Place{Root: t.root, Memory: memory, UID: root.uid, GID: root.gid}
	for _, e := range s.Devices {
		left, err := e.Root.Make(at)
		if err != nil {
			return fmt.Errorf("preparing the root for devices: %w", err)
		}
		if len(left) > 0 {
			s.notice(fmt.Sprintf("left out for devices, where the image has something else or something is mounted: %.300s", strings.Join(left, ", ")))
		}
	}
	return nil
}

// nvidiaDir is a directory that images have no files in, as a rule. What a driver has there is in memory then: on a disk, dozens of links
// for each start would take longer than all the rest of it.
const nvidiaDir = "/usr/local/nvidia"

// linksNvidia says whether there will be links in nvidiaDir.
func (s *Sandbox) linksNvidia() bool {
	return slices.ContainsFunc(s.Devices, func(e Edits) bool {
		return slices.ContainsFunc(e.Root.Links, func(l rootedit.Link) bool { return host.Under(l.Path, nvidiaDir) })
	})
}

// nodeMount binds a node of the host. It is read-only: that keeps nobody from writing to the device, but root's command from
// changing the mode of the host's node.
func nodeMount(n DeviceNode) Mount { return Mount{Type: "bind", Source: n.Source, Target: n.Target} }

// mountAttributes are the options of mount(8) that count for the files of devices. Those of access times do not.
var mountAttributes = map[string]uint64{
	"ro": unix.MOUNT_ATTR_RDONLY, "nosuid": unix.MOUNT_ATTR_NOSUID, "nodev": unix.MOUNT_ATTR_NODEV, "noexec": unix.MOUNT_ATTR_NOEXEC,
}

// mount words the mount of a device as one of a sandbox, with its attributes.
func (d DeviceMount) mount() (m Mount, attr uint64) {
	m = Mount{Type: d.Type, Source: d.Source, Target: d.Target}
	for _, o := range d.Options {
		attr |= mountAttributes[o]
	}
	if d.Type == "tmpfs" {
		m.Mode = new(uint32(0o755))
	}
	return m, attr
}

// attachDevice mounts one thing of a device.
func attachDevice(t *tree, s *Sandbox, m Mount, attr uint64) error {
	at, err := mountPoint(t, m)
	if err != nil {
		return err
	}
	defer at.close()
	if at.at == nil {
		return fmt.Errorf("%s is not mounted yet", at.path)
	}
	if m.Type == "tmpfs" {
		err = attachTmpfs(t, m, at, s.KeepID)
	} else {
		err = attachTree(m, at.at, attr)
	}
	if err == nil {
		t.covered[at.path] = coverThere
	}
	return err
}

// tellHidden tells the user once which files of devices cannot be reached any more where the mounts that were asked for lie over them.
// A path at which there is something is what the user wants to be there.
func tellHidden(t *tree, s *Sandbox) {
	p := rootedit.Place{Root: t.root}
	var hidden []string
	gone := func(target string) {
		if !p.Has(target) {
			hidden = append(hidden, target)
		}
	}
	for _, e := range s.Devices {
		for _, n := range e.Devices {
			gone(n.Target)
		}
		for _, m := range e.Mounts {
			gone(m.Target)
		}
	}
	if len(hidden) == 0 {
		return
	}
	over := slices.IndexFunc(s.Mounts, func(m Mount) bool {
		return strings.HasPrefix(hidden[0], strings.TrimSuffix(path.Clean(m.Target), "/")+"/")
	})
	text := fmt.Sprintf("mounts of this container hide %s", hidden[0])
	if over >= 0 {
		text = fmt.Sprintf("the mount on %s hides %s", s.Mounts[over].Target, hidden[0])
	}
	if len(hidden) > 1 {
		text += fmt.Sprintf(" and %d more files", len(hidden)-1)
	}
	s.notice(text + " of a device: what needs that will not work")
}
