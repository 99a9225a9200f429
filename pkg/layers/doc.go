// Package layers keeps everything that a build makes: snapshots (what one step changed), blobs (compressed layers,
// configs, manifests), records (small facts under a key) and the names of local images. It turns snapshots into layers
// and layers into snapshots, and is the sole owner of the state directory.
//
// A state of files is named by a Key: how it was made. Each snapshot directory is an overlayfs lower directory
// (whiteouts are 0/0 character devices, opaque directories have user.overlay.opaque=y), so that a state is the stack of
// the snapshots of its key, its parent's, and so on. A View reads such a stack without mounting it; a Draft adds to it.
//
// Every file in the store is written as temp, fsync, rename, fsync of the directory, and only then referred to. Liveness
// is flock, never a pid. What is corrupt is missing: it is made again.
package layers
