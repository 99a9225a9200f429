// This file owns the sink that is a tree in memory: what a step would make is described there, and written as a layer when all of it
// is known.

package files

import (
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// memorySink describes what a placement tells.
type memorySink struct{ change rootfs.Change }

// enter makes a directory that is not there.
func (s *memorySink) enter(d *placed) error {
	if d.below != nil {
		return nil
	}
	return s.change.Mkdir(d.Path)
}

// leave gives a directory what it takes.
func (s *memorySink) leave(d *placed) error {
	var xattrs map[string][]byte
	if d.takes == nothing {
		return nil
	}
	if d.takes == everything && d.Content != nil {
		var err error
		if xattrs, err = d.Content.Xattrs(nil); err != nil {
			return err
		}
	}
	return s.change.Describe(d.Path, xattrs, func(e *rootfs.Entry) {
		if d.takes != itsTime {
			e.Mode = unix.S_IFDIR | d.Mode&0o7777
		}
		if d.takes == everything {
			e.UID, e.GID = d.UID, d.GID
		}
		if d.takes != itsMode {
			e.ModTime = d.ModTime
		}
	})
}

// put describes anything but a directory.
func (s *memorySink) put(f *placed) error {
	if f.first != "" {
		return s.change.Link(f.first, f.Path)
	}
	if f.Type() == unix.S_IFSOCK { // nothing listens on a copy; BuildKit makes an empty file of it, too
		empty := *f.Entry
		empty.Mode, empty.Size, empty.Content = unix.S_IFREG|f.Mode&0o7777, 0, nil
		return s.change.Put(&empty)
	}
	return s.change.Put(f.Entry)
}
