// Package layers keeps what builds have made: the files of states, the layers of images, and small facts. It is the only code that
// knows how the state directory is laid out (layout.go); what lies there of others is in internal/statedir.
//
// # Nouns
//
// A Key names a state of files by how it was made. A snapshot is the directory that holds what one step changed; a state is the
// stack of a snapshot and all that it stands on, and scratch is the state of nothing. A blob is bytes under their SHA-256. A
// record is a small fact under a kind and a key; to lose one costs time, never correctness. A local image is a name for a
// manifest. A lease (package lease) keeps what a process uses from being pruned.
//
// The owners of files are real, or marks where a process has one id only (rootfs.Marked). Snapshots of each kind lie apart, and
// a state whose files are here in one kind is not here for who has another. Everything else is shared, since the layers of a state are
// the same bytes from all; those that are made of files which have lost owners (rootfs.Lossy) are remembered for such processes only.
//
// # How they meet
//
// A state begins as a Draft over its parent, and ends as a snapshot by Draft.Commit. Other states come from layers: Unpack makes
// the states of a base image, Restore one that another machine has made, Pack one whose files are in its layer only, until Expand
// unpacks them. View shows the files of a state.
//
// A RUN sees a Draft as one directory: an overlay (mount.go), a copy of all files (trees.go), or the one tree in a directory that is
// not the store's (place.go). What that stands on is lent to it: it is unpacked beside it and moved there, and is packed in the store (lent.go).
//
// Layers makes the layers of a snapshot, and remembers them under its key and the way in which they were made. The tar is written
// by rootfs, divided by split and compressed by codec. Each layer becomes a blob, which may be read (and sent) while it still
// grows (package growing). Squash and Recompress make other layers of what is there.
//
// The parts of a Store are small and know nothing of it: disk (layout.go), records, syncer, blobs, snapshots, maker and
// images. Each does what it can with those before it. The methods of Store put them together.
//
// Parcels read snapshots whose files are not here and are not to be: their layers are described, and single files taken out of them.
//
// # Several processes, and crashes
//
// Any number of processes may use a store at once. What must not be done twice is done under a lock below locks/. A file lock is the
// only sign of life: what a dead process has left is found by its free lock, and removed when the store is opened. Snapshots
// and blobs are written elsewhere, marked, renamed into place, and flushed many at once; a mark of an earlier boot means that a
// part may be missing, and what it marks is dropped (syncer.go). The name of an image waits for the flush. What is read is
// checked: a blob with another digest is dropped, and fetched or made again.
//
// # Never
//
// A snapshot or a blob that has its name is never changed. A path is never built from what came from outside but in layout.go. The
// format on disk changes only together with the file VERSION.
package layers
