// This file owns what devices add to a sandbox: data that package gpu makes of CDI specs, and that others could make of
// something else.

package runtime

import (
	"time"

	"github.com/gbuild/gbuild/pkg/runtime/rootedit"
)

// Edits is what devices add to a sandbox, as plain data.
type Edits struct {
	Env     []string // KEY=VALUE, one for each key; they win over the container's own
	Mounts  []DeviceMount
	Devices []DeviceNode
	Hooks   []DeviceHook
	Root    rootedit.Edits // edits that gbuild itself makes in the container's root, in place of NVIDIA's hooks
	Groups  []int          `json:",omitempty"` // further groups of the command, by which nodes are open
	// KeepGroups says that nodes can be opened by a group of the user only, which has no number in a user namespace.
	KeepGroups bool     `json:",omitempty"`
	Notices    []string // a line for each thing that was left out, with the reason
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

// DefaultPath is the PATH of a process for which nothing else is said.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
