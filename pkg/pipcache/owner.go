// This file owns whose the files of caches are for a RUN. How that is kept is known to rootfs; caches of both kinds are apart, since
// the owners of one mean nothing in the other.

package pipcache

import (
	"fmt"
	"os"
	"path"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Give makes a user and a group the owner of a name in a cache, of a link its own. A link that cannot have one here stays as it is.
func Give(root *os.Root, name string, uid, gid int) error {
	dir, err := root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	return rootfs.Kept(rootfs.Owner{UID: uid, GID: gid}.GiveAt(int(dir.Fd()), path.Base(name)))
}

// OwnerOf is whose a file of a cache of this kind is for a RUN.
func OwnerOf(path string) (uid, gid int, err error) {
	e, err := rootfs.Lstat(path, path)
	if err != nil {
		return 0, 0, fmt.Errorf("looking at a file of a cache: %w", err)
	}
	return e.UID, e.GID, nil
}

// Ours says whether a cache has the kind of files that this process makes. Others are not used.
func (i Identity) Ours() bool { return i.Marked == rootfs.Marked() }

// beyond says whether a cache has files that this process may not be able to read or to remove.
func (i Identity) beyond() bool { return rootfs.Marked() && !i.Marked }

// OtherKind says whether there is a cache of that id and these options whose files are not of the kind that this process makes.
func (c *Caches) OtherKind(id string, o Options) bool {
	i := newIdentity(id, o)
	i.Marked = !i.Marked
	return ready(c.path(i.Key()))
}
