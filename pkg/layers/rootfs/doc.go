// Package rootfs is about the files of an image: how the directories of its layers look together, and how the tar of a layer
// becomes such a directory, and a directory a tar. It works on directories that it is given; it knows no store and no key.
//
// An Entry is one name with its metadata, as lstat shows it. It is the one type for that: what a layer is written from, what a
// view shows, and what an index keeps.
//
// # Looking
//
// A View shows a stack of directories as overlayfs would, without a mount: whiteouts hide what is below, opaque directories hide
// what they would be merged with. Its directories may be on disk, or be indexes (IndexView), which have all names of a
// snapshot but no content. Upper is a directory that is written over a view, and CopyUp brings directories into it.
// A Memory is a directory that is only described: what a step would change, or what a layer has. It is a level of a view, too.
// View.Resolve is the one place where links of an image are followed; no path leads out of a view.
//
// # In
//
// An Applier turns the tars of layers into files. A tar is not trusted: everything is done relative to descriptors of directories
// which were opened with the directory as their root (tree.go). What needs the layers below waits for Finish. Extract does the
// same with an archive of an ADD, over what is there.
//
// A Describer does with a tar what an Applier does, without making a file of it: its tree is a Memory, from which an index is made.
//
// # Out
//
// WriteDiff writes snapshot directories as the tar of a layer, WriteLayer one that is described name by name, and WriteFiles some
// files only. All write what is the same below as nothing, and the same files as the same bytes, at any time and on any machine.
//
// # Owners
//
// An Entry has the owner that its file has in the image, and Owner.Give makes it that of a file. Where a process can give files to
// others, that is their owner on disk; where it has one id only, all files are its own, and the owner is a mark of the file
// (internal/mark). Which of both is decided in owner.go, and nowhere else. A device that cannot be made is an empty file with
// a mark, in both ways.
//
// An overlay's marks (user.overlay.*) and those of owners and devices never enter or leave in a tar.
//
// # Never
//
// Nothing here trusts a name, a link or a size: of a tar, of an index, of a file that another process may change. A file that changes
// while it is read is an error, and no mixture of both. No path is opened that a link could have led elsewhere, and no list of
// names is kept that a hostile directory could make too long, but for its names themselves.
//
// The tar of the same files is the same bytes in every version of gbuild: states and layers are found again by their digests.
// Attributes that mean something on this machine only stay here (PortableXattr).
package rootfs
