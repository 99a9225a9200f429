// This file owns what devices add to a sandbox: data that package gpu makes of CDI specs, and that others could make of
// something else. It knows nobody.

package runtime

import "time"

// Edits is what devices add to a sandbox, as plain data.
type Edits struct {
	Env     []string // KEY=VALUE, one for each key; they win over the container's own
	Mounts  []DeviceMount
	Devices []DeviceNode
	Hooks   []DeviceHook
	Root    RootEdits // edits that gbuild itself makes in the container's root, in place of NVIDIA's hooks
	Notices []string  // a line for each thing that was left out, with the reason
}

// DeviceMount is a mount that a device needs, parents before children.
type DeviceMount struct {
	Source, Target string
	Type           string   // "bind" or "tmpfs"
	Options        []string // mount options in the words of mount(8)
}

// DeviceNode is a node of the host, and its path in the container. It is bound there: a user namespace has no mknod.
type DeviceNode struct{ Source, Target string }

// DeviceHook is a program of a vendor that runs at a point in the container's life. It never sees the image's
// environment: Env is complete.
type DeviceHook struct {
	When    string // prestart, createRuntime, createContainer, startContainer, poststart or poststop
	Path    string
	Args    []string
	Env     []string
	Timeout time.Duration // 0 means none
}

// RootEdits is what NVIDIA's hooks would do in a container's root, as data for gbuild's own hook.
type RootEdits struct {
	Links         []RootLink `json:",omitempty"`
	LibraryDirs   []string   `json:",omitempty"` // directories that the loader's cache is to have
	CompatVersion string     `json:",omitempty"` // the driver's version, where newer CUDA libraries of the image may be used
	Glibc         bool       `json:",omitempty"` // the driver's libraries need it
}

// RootLink is a symbolic link to make: Target is what it says, Path where it is in the container.
type RootLink struct{ Target, Path string }

// Empty says that there is nothing to do.
func (r RootEdits) Empty() bool { return len(r.Links) == 0 && len(r.LibraryDirs) == 0 && !r.Glibc }

// NvidiaLibraryDir is where images of NVIDIA's look for the driver's libraries: it is in their search paths, so that they
// work without a loader's cache.
const NvidiaLibraryDir = "/usr/local/nvidia/lib64"

// DefaultPath is the PATH of a process for which nothing else is said.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
