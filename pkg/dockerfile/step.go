// This file owns the data of steps: what an instruction that changes files asks for.

package dockerfile

import (
	"time"

	"github.com/gbuild/gbuild/pkg/shell"
)

// Step is one instruction after expansion that changes files: *Run, *Copy or *Mkdir. Steps are data; package build
// has the one switch that executes them.
type Step interface {
	Meta() *Meta
	step()
}

// Meta is what every Step has.
type Meta struct {
	Location Location
	Title    string // the text for a progress display: the instruction with its variables expanded
	History  int    // index of the step's entry in the History of the config that Resolve returned
}

// meta is the name under which steps embed a Meta: a field called Meta would hide the method.
type meta = Meta

// Meta returns m itself; it makes every struct that embeds a Meta half a Step.
func (m *Meta) Meta() *Meta { return m }

// Run is a RUN: one process in a sandbox.
type Run struct {
	meta

	// Args is the whole argument vector, the SHELL included.
	Args []string

	// Env is NAME=VALUE in the order of definition, declared ARGs included. A later one wins, and PATH is always there.
	Env []string

	// ProxyEnv are the predefined proxy variables, in upper and lower case. The process gets them after Env; they are no
	// part of the key.
	ProxyEnv []string

	// Dir is absolute. It is made, owned by User, where it is missing.
	Dir string

	// User is written name|uid[:group|gid], and looked up in the files of the state; empty is root.
	User string

	Mounts   []Mount
	Network  string // "" (private), "none" or "host"
	Security string // "" (sandbox) or "insecure"
	Devices  []Device
	Hostname string

	// Files are scripts of heredocs that start with #!. They are seen at Path, 0755, during the RUN only.
	Files []File

	// scripts are those that it executes, as far as they have been read.
	scripts shell.Scripts
}

// File is a small file whose bytes stand in the Dockerfile.
type File struct {
	Path string // absolute for Run.Files; a base name for Copy.Inline
	Data []byte
}

// Device is one --device of a RUN: a CDI name.
type Device struct {
	Name     string
	Required bool
}

// MountType is the type= of a --mount.
type MountType string

// The types of Mount.
const (
	MountBind   MountType = "bind"
	MountCache  MountType = "cache"
	MountTmpfs  MountType = "tmpfs"
	MountSecret MountType = "secret"
	MountSSH    MountType = "ssh"
)

// Mount is one --mount of a RUN, expanded and checked.
type Mount struct {
	Type      MountType
	Target    string  // absolute
	From      *Source // bind and cache; nil: the build context for bind, an empty directory for cache
	Source    string  // path inside From
	ReadOnly  bool
	ID        string // cache, secret, ssh; for cache the value with the prefix BUILDKIT_CACHE_MOUNT_NS
	Sharing   string // cache: shared, private or locked
	UID, GID  *int   // cache, secret, ssh; nil: not given
	Mode      *uint32
	Size      int64  // tmpfs, bytes; 0: no limit
	Required  bool   // secret, ssh
	Env       string // secret: the variable that receives it; a file at Target too only when HasTarget
	HasTarget bool   // target= was written
}

// Copy is a COPY or an ADD. Which files its Sources match, and what their owners are called, only the caller can say.
type Copy struct {
	meta
	Add      bool
	From     Source   // the place that Sources are relative to
	Sources  []string // expanded, as written otherwise: local paths and wildcards; for Add also URLs and git references
	Inline   []File   // heredocs, after the Sources
	Dest     string   // absolute, against WORKDIR; ends in "/" where it was written so (or as ".", or empty)
	Chown    string   // empty: root for a context, kept for stages and images
	Chmod    string   // octal or symbolic; empty: kept
	Link     bool
	Parents  bool
	Exclude  []string
	Unpack   *bool  // ADD --unpack
	Checksum string // ADD --checksum
	KeepGit  *bool  // ADD --keep-git-dir
}

// Mkdir is a WORKDIR: a directory with its parents, 0755, owned by User. One that is there already stays as it is.
type Mkdir struct {
	meta
	Path string // absolute and clean
	User string
	Time *time.Time // the time of SOURCE_DATE_EPOCH; nil: now
}

func (*Run) step()   {}
func (*Copy) step()  {}
func (*Mkdir) step() {}
