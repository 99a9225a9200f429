// Package statedir is the table of what lies in the state directory (--root). Each part is a directory with one owner, a
// package that alone makes, reads and removes what is in it. Whoever needs a new part gives it a name here. Temporary files of
// pkg/remote lie beside the parts; they lose their names before anything is written.
package statedir

import "path/filepath"

// Store are the parts of pkg/layers, beside the files VERSION and gc.lock.
var Store = []string{"snapshots", "drafts", "blobs/sha256", "records", "names", "locks", "leases", "ingest", "trash", "unsynced", Marked, Lossy}

// There are parts of pkg/layers for each way to keep the owners of files (see rootfs.Marked and rootfs.Lossy).
const (
	Marked = "marked"
	Lossy  = "lossy"
)

// Kept are the parts of which there is one for each way.
var Kept = []string{"snapshots", "drafts", "trash", "unsynced"}

// Part is a part that does not belong to pkg/layers.
type Part string

// The parts of others.
const (
	Containers Part = "containers" // of pkg/container: the registry
	Volumes    Part = "volumes"    // of pkg/container: the named volumes
	Swap       Part = "swap"       // of pkg/runtime: what stands for mounts in the files of a stage while a command is executed
	Hashes     Part = "hashes"     // of pkg/files: the digests of the files of contexts
	Contexts   Part = "contexts"   // of pkg/files: contexts that are no directories, while they are used
)

// In is the directory of the part in a state directory.
func (p Part) In(state string) string { return filepath.Join(state, string(p)) }
