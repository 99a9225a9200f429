// This file owns the walls of a container: rights, filters, users, and what it shares with the host. All of that is inside of
// a user namespace: --privileged gives every right there, and none on the host.

package running

import (
	"fmt"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// Box is the part about what keeps the command in, and of the holes that the user asks for.
type Box struct {
	SecurityOpts, CapAdd, CapDrop, Ulimits []string
	ShmSize, IPC, Userns                   string
	ReadOnly, Privileged                   bool

	shm int64 // ShmSize, parsed; 0 is the default
}

// Flags registers the flags. The words are docker's; keep-id is podman's.
func (b *Box) Flags(f *pflag.FlagSet) {
	f.StringVar(&b.ShmSize, "shm-size", "", "size of /dev/shm (default: 64m, with GPUs half of the memory)")
	f.StringVar(&b.IPC, "ipc", b.IPC, "private (shareable is the same) or host")
	f.Var((*cli.List)(&b.Ulimits), "ulimit", "NAME=SOFT[:HARD] (repeatable)")
	f.BoolVar(&b.ReadOnly, "read-only", false, "make the root file system read-only")
	f.Var((*cli.List)(&b.CapAdd), "cap-add", "capability to add (repeatable)")
	f.Var((*cli.List)(&b.CapDrop), "cap-drop", "capability to drop (repeatable)")
	f.Var((*cli.List)(&b.SecurityOpts), "security-opt", "no-new-privileges, seccomp=unconfined|FILE, systempaths=unconfined (repeatable)")
	f.BoolVar(&b.Privileged, "privileged", false, "every capability and no filter, inside the user namespace")
	f.StringVar(&b.Userns, "userns", "", "keep-id[:uid=UID,gid=GID]: the image's user is you, so that it can write your files")
}

// parse checks --ipc, --ulimit and --shm-size. The other flags are read when the sandbox is filled: they may name a file, or need
// the image.
func (b *Box) parse() (err error) {
	for _, text := range b.Ulimits {
		if _, err := runtime.ParseUlimit(text); err != nil {
			return cli.Usage(err)
		}
	}
	if b.ShmSize != "" {
		if b.shm, err = units.RAMInBytes(b.ShmSize); err != nil || b.shm < 0 {
			return cli.Usagef("--shm-size %s: it is a size such as 8g", b.ShmSize)
		}
	}
	return cli.OneOf("--ipc", b.IPC, "private", "shareable", "host")
}

// fill gives the sandbox its walls. A profile of system calls comes by read: it may be a pipe that an earlier process has read.
func (b *Box) fill(box *runtime.Sandbox, read cli.FileReader) error {
	box.ReadOnlyRoot, box.Ulimits, box.CapAdd, box.CapDrop = b.ReadOnly, b.Ulimits, b.CapAdd, b.CapDrop
	box.HostIPC, box.Insecure = b.IPC == "host", b.Privileged
	for _, s := range b.SecurityOpts {
		key, value := securityOption(s)
		switch {
		case key == "no-new-privileges":
			box.NoNewPrivileges = value != "false"
		case key == "systempaths" && value == "unconfined":
			box.Unmasked = true
		case key == "seccomp" && (value == "unconfined" || value == ""):
			box.Seccomp = "unconfined"
		case key == "seccomp":
			text, err := readProfile(value, read)
			if err != nil {
				return err
			}
			box.Seccomp = string(text)
		case key == "label", key == "apparmor":
			// Neither is used by gbuild: both are as unconfined as can be.
		default:
			return cli.Usagef("--security-opt %s: it is no-new-privileges, seccomp=unconfined|FILE or systempaths=unconfined", s)
		}
	}
	return nil
}

// securityOption reads KEY=VALUE, or KEY:VALUE as docker once wrote it.
func securityOption(s string) (key, value string) {
	key, value, _ = strings.Cut(strings.Replace(s, ":", "=", 1), "=")
	return key, value
}

// readProfile reads a filter of system calls, in docker's JSON.
func readProfile(name string, read cli.FileReader) ([]byte, error) {
	text, err := read(name)
	if err != nil {
		return nil, fmt.Errorf("reading the profile of --security-opt: %w", err)
	}
	return text, nil
}

// keepProfile reads filters of --security-opt that the processes which follow cannot read.
func (b *Box) keepProfile(read cli.FileReader) error {
	for _, s := range b.SecurityOpts {
		if key, value := securityOption(s); key == "seccomp" && cli.IsStream(value) {
			if _, err := readProfile(value, read); err != nil {
				return err
			}
		}
	}
	return nil
}

// fillShm makes /dev/shm as large as asked; with a GPU it is half of the memory, for data loaders share batches there.
func (b *Box) fillShm(box *runtime.Sandbox, hasGPU bool) error {
	if box.ShmSize = b.shm; b.shm > 0 {
		return nil
	}
	// 64 MiB, docker's size, remains the least: halfOfMemory is 0 where the kernel says nothing.
	if hasGPU {
		box.ShmSize = max(halfOfMemory(), 64<<20)
	}
	return nil
}

// halfOfMemory is in bytes; 0 where the kernel does not say.
func halfOfMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit) / 2
}
