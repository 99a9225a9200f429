// Package mark is the form in which a file says whom it belongs to in its image, where all files belong to one user on this
// machine: an extended attribute of the file itself. The kernel then carries the owner through renames, hard links, copies up of
// an overlay and deletion, and nothing has to be kept beside the files.
//
// A regular file or a directory has the attribute Owner. The kernel allows no such attribute on symbolic links, fifos and
// sockets; there security.capability holds the ids, which means nothing to the kernel on files that are not executed, and which
// uid 0 of a user namespace may set. A file without a mark belongs to 0:0. A device, which only the root of the machine may
// make, is an empty file with the attribute Node. Where a file system refuses what overlayfs hides files by, the device 0:0 that is
// one hides the name, and the attribute Opaque all that is below a directory.
//
// A change of owner by the kernel (chown) drops the mark of links, fifos and sockets, so a mark is set after it.
//
// Nothing here reads or writes files, and no mark may be seen by a RUN, or reach a layer or an export.
package mark
