// This file owns the data of a sandbox: what a caller says of it before it runs. It does nothing itself.

package runtime

import (
	"io"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/runtime/host"
	"github.com/gbuild/gbuild/pkg/runtime/network"
)

// Sandbox is one process in its own mount, pid, ipc, uts, cgroup and, as asked, network namespace. It is used like
// exec.Cmd: fill it in, then Run. The caller must be in the namespaces that host.Enter makes. It is plain data, and as wide as the
// flags of `docker run` are many.
type Sandbox struct {
	Isolation host.Isolation // how it is made, as a host.Mode has decided; Auto is the best way that this process has

	Root     string // the mounted root file system, which no other running Sandbox may have
	Journal  string // where it is written down what stands for mounts in Root, in an isolation without namespaces; see JournalIn
	StateDir string // a directory in which Run makes a private one, and removes it in the end

	Args []string // the command; Args[0] is looked up in the PATH of Env
	Env  []string // NAME=value; only HOME is added, from the root's /etc/passwd
	Dir  string   // working directory; made when it is missing, owned by the user; "" is /

	UID, GID int   // ids of a user of the image; LookupUser finds them
	Groups   []int // supplementary groups; GID is added
	// KeepGroups gives the command the supplementary groups of this process, which may have no numbers here, in place of Groups.
	KeepGroups bool

	Mounts       []Mount
	Network      string        // "private", "host" or "none"; "" is private where that can be had, else the host's
	Networks     *network.Pool // lends a private network; if nil, one is made, and removed in the end
	Hostname     string        // "gbuild" when empty
	Hosts        []HostEntry
	Insecure     bool // every capability, no system call is refused, nothing masked
	ReadOnlyRoot bool
	ShmSize      int64    // bytes of /dev/shm; 64 MiB when 0
	Ulimits      []string // NAME=SOFT[:HARD], -1 or "unlimited" for no limit; cut to what this process may have, see RaiseLimits
	Limits       Limits   // bounds that only a Cgroup enforces
	Cgroup       string   // path of the one that MakeCgroup made before host.Enter; "" for none
	CapAdd       []string // names, with or without CAP_; ALL
	CapDrop      []string

	Devices         []Edits        // additions for devices; package gpu makes them
	Ports           []network.Port // published ports of the host, with a private network
	HostIPC         bool           // the host's shared memory and message queues
	HostPID         bool           // the processes around it are seen
	HostUTS         bool           // the host's name
	Domainname      string
	Resolver        Resolver          // where names are looked up
	Sysctls         map[string]string // settings of its own namespaces
	OOMScoreAdj     *int              // nil: that of this process
	NoNewPrivileges bool
	Unmasked        bool    // nothing of /proc and /sys is hidden
	Seccomp         string  // "" for the default filter, "unconfined", or a profile as JSON
	Reaper          bool    // the first process is one that passes signals on and waits for orphans
	KeepID          *KeepID // the user of the sandbox is the user of the host

	Stdin          io.Reader // empty when nil
	Stdout, Stderr io.Writer // discarded when nil
	Terminal       *Terminal // nil for none; with one there is no Stderr

	Started func(*Process) // It is called once the command runs; it may be nil.
	Notice  func(string)   // It is told once in each Run what is weaker than asked; it may be nil.
}

// Mount is one further mount in a sandbox.
type Mount struct {
	Type     string // "bind" or "tmpfs"
	Source   string // the file or directory here that a bind shows
	Target   string // absolute; symbolic links in it are followed inside the root
	ReadOnly bool
	Secret   bool    // what is in Source reaches no disk: where nothing can be mounted, no copy stands for it
	Below    Below   // what is mounted in the source of a bind
	Size     int64   // bytes of a tmpfs; 0: half of memory
	Mode     *uint32 // mode of a tmpfs; nil: as the directory under it, or 1777
	UID, GID int     // owner of a tmpfs
	Flags    uintptr // those of a tmpfs, as mount(2) has them; 0: nosuid and nodev
	Data     string  // further options of a tmpfs
}

// Below says of a bind how the mounts in its source are shown. The zero value shows those that there are, read-only where the bind is.
type Below struct {
	Hidden   bool // none of them is shown
	Writable bool // they stay as they are where the bind is read-only
	Later    bool // what the host mounts there later is shown, too
}

// ownProcesses says whether the sandbox has numbers of processes of its own.
func (s *Sandbox) ownProcesses() bool { return host.OwnParts().Proc && !s.HostPID }

// ownHostname says whether it has a name of its own.
func (s *Sandbox) ownHostname() bool { return host.OwnParts().Hostname && !s.HostUTS }

// swap is how much a sandbox may swap out; negative is no bound.
func (l *Limits) swap() int64 {
	switch {
	case l.MemorySwap < 0:
		return -1
	case l.MemorySwap == 0:
		return l.Memory
	}
	return max(l.MemorySwap-l.Memory, 0)
}

// HostEntry is a line of /etc/hosts.
type HostEntry struct{ Name, Addr string }

// Limits bound what all processes of a sandbox use together; 0 is no bound.
type Limits struct {
	Memory int64   // bytes; where swap is counted, as much of it may be used again
	CPUs   float64 // time of so many processors

	MemorySwap        int64  // bytes of memory and swap together; 0: twice the memory; negative: no bound
	MemoryReservation int64  // bytes that are left to it when memory is short
	CPUShares         uint64 // its part of the processors when all are busy; 1024 is usual
	CPUSet, MemorySet string // processors and nodes of memory, as 0-3,5
	Pids              int64  // processes and threads
}

func (s *Sandbox) hostname() string {
	if s.Hostname == "" {
		return "gbuild"
	}
	return s.Hostname
}

// notice tells the caller what is weaker than asked.
func (s *Sandbox) notice(text string) {
	if s.Notice != nil {
		s.Notice(text)
	}
}

// hasDriver says whether devices with libraries or hooks of a driver were asked for, not only a node.
func (s *Sandbox) hasDriver() bool {
	return slices.ContainsFunc(s.Devices, func(e Edits) bool { return len(e.Mounts)+len(e.Hooks) > 0 || !e.Root.Empty() })
}

// HasGPU says whether a GPU was asked for: with its driver, or, as those are that need no files of the host, as a node.
func (s *Sandbox) HasGPU() bool {
	return s.hasDriver() || slices.ContainsFunc(s.Devices, func(e Edits) bool {
		return slices.ContainsFunc(e.Devices, func(n DeviceNode) bool {
			return n.Source == "/dev/kfd" || strings.HasPrefix(n.Source, "/dev/dri") || strings.HasPrefix(n.Source, "/dev/nvidia") || n.Source == "/dev/dxg"
		})
	})
}

// keepsGroups says whether the command has the groups of this process: as asked for, or as a device needs it. Who is root of the machine
// opens devices without.
func (s *Sandbox) keepsGroups() bool {
	return s.KeepGroups || slices.ContainsFunc(s.Devices, func(e Edits) bool { return e.KeepGroups })
}

// groups are the supplementary ones of a process with these groups of the image; none where it keeps those of this process.
func (s *Sandbox) groups(gid int, image []int) []int {
	if s.keepsGroups() {
		return nil
	}
	all := slices.Concat([]int{gid}, image)
	for _, e := range s.Devices {
		all = append(all, e.Groups...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// cannotChangeNetwork says whether no process of the sandbox can leave anything behind in its network: none may administer it,
// or write to /proc/sys as root.
func (s *Sandbox) cannotChangeNetwork() bool { return !s.Insecure && !s.Unmasked && len(s.CapAdd) == 0 }
