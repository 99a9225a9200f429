package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Sandbox is one process in its own mount, pid, ipc, uts, cgroup and, as asked, network namespace. It is used like
// exec.Cmd: fill it in, then Run. The caller must be in the namespaces that Enter makes.
type Sandbox struct {
	ID       string // unique among what runs now; letters, digits, '_', '+', '-' and '.'; random when empty
	Root     string // the mounted root file system; not that of another Sandbox that runs
	StateDir string // where Run keeps a private directory of its own while it runs

	Args []string // the command; Args[0] is looked up in the PATH of Env
	Env  []string // NAME=value, nothing is added but HOME, from the root's /etc/passwd
	Dir  string   // working directory; made when it is missing, owned by the user; "" is /

	UID, GID int   // see LookupUser
	Groups   []int // supplementary groups; GID is added

	Mounts       []Mount
	Network      string    // "private", "host" or "none"; "" is private where that can be had, else the host's
	Networks     *Networks // where a private network comes from; nil: it is made, and taken away in the end
	Hostname     string    // "gbuild" when empty
	Hosts        []HostEntry
	Insecure     bool // every capability, no system call filter, nothing masked
	ReadOnlyRoot bool
	ShmSize      int64    // bytes of /dev/shm; 64 MiB when 0
	Ulimits      []string // NAME=SOFT[:HARD], -1 or "unlimited" for no limit; cut to what this process may have
	Limits       Limits   // are enforced only in a Cgroup
	Cgroup       string   // Path of one that MakeCgroup made before Enter; "" for none
	CapAdd       []string // names, with or without CAP_; ALL
	CapDrop      []string

	Devices         []Edits // of CDI devices; see Catalog.Inject
	Ports           []Port  // of the host, with a private network
	HostIPC         bool    // the host's shared memory and message queues
	NoNewPrivileges bool
	Unmasked        bool    // nothing of /proc and /sys is hidden
	Seccomp         string  // "" for the default filter, "unconfined", or a profile as JSON
	Reaper          bool    // the first process is one that passes signals on and waits for orphans
	KeepID          *KeepID // the user of the sandbox is the user of the host

	Stdin          io.Reader // empty when nil
	Stdout, Stderr io.Writer // discarded when nil
	Terminal       *Terminal // nil for none; with one there is no Stderr

	Started func(*Process) // is called once the command runs; may be nil

	Grace  time.Duration // from SIGTERM to SIGKILL when the context ends; 2 seconds when 0
	Notice func(string)  // is told, once a Run, what is weaker than asked; may be nil
}

// Mount is one further mount in a sandbox.
type Mount struct {
	Type     string // "bind" or "tmpfs"
	Source   string // of a bind: a file or directory here
	Target   string // absolute; symbolic links in it are followed inside the root
	ReadOnly bool
	Size     int64   // of a tmpfs, in bytes; 0: half of memory
	Mode     *uint32 // of a tmpfs; nil: as the directory under it, or 1777
	UID, GID int     // of a tmpfs
}

// HostEntry is a line of /etc/hosts.
type HostEntry struct{ Name, Addr string }

// ExitError is a command that did not end with 0.
type ExitError struct {
	Code   int            // as a shell has it: 128+n for a signal, 127 not found, 126 not executable
	Signal syscall.Signal // 0 when it exited
	Err    error          // why it could not be started, else nil
}

// Error implements error.
func (e *ExitError) Error() string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case e.Signal != 0:
		return "killed by " + e.Signal.String()
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Unwrap gives the reason for which the command could not be started.
func (e *ExitError) Unwrap() error { return e.Err }

// Run runs the command and waits for it. When it returns, no process of the sandbox is left, and the mount points that
// it had to make in Root are gone again where the command left them as they were. A command that fails is an
// *ExitError; what the host lacks is a *Missing.
func (s *Sandbox) Run(ctx context.Context) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	dir, remove, err := s.privateDir()
	if err != nil {
		return fmt.Errorf("making a directory for the sandbox: %w", err)
	}
	defer func() { err = errors.Join(err, remove()) }()
	r := &run{Sandbox: s, dir: dir}
	if r.id = s.ID; r.id == "" {
		r.id = "gbuild-" + filepath.Base(dir)
	}
	return r.run(ctx)
}

// privateDir makes a directory in memory, for files that live as long as the sandbox. It is a file system of its own for
// one more reason: libcontainer seals this program by an overlay of its directory and one of these, which must not lie
// below the former, and would have to copy the program for each sandbox otherwise.
func (s *Sandbox) privateDir() (dir string, remove func() error, err error) {
	if dir, err = os.MkdirTemp(s.StateDir, "run-"); err != nil {
		return "", nil, err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0700"); err != nil {
		return "", nil, errors.Join(err, os.Remove(dir))
	}
	return dir, func() error { return errors.Join(unix.Unmount(dir, unix.MNT_DETACH), os.Remove(dir)) }, nil
}

// run is one Run of a Sandbox.
type run struct {
	*Sandbox
	id   string
	dir  string // private, removed at the end
	root string // see bindRoot
	tree *tree
	net  *network
}

func (r *run) run(ctx context.Context) (err error) {
	if err := r.bindRoot(); err != nil {
		return err
	}
	if r.tree, err = openTree(r.root); err != nil {
		return errors.Join(err, r.unbindRoot())
	}
	defer func() { err = errors.Join(err, r.unbindRoot(), r.tree.restore()) }()
	if r.net, err = r.connect(); err != nil {
		return err
	}
	defer r.net.close()
	config, err := r.config()
	if err != nil {
		return err
	}
	if err := r.makeDir(); err != nil {
		return err
	}
	return r.execute(ctx, config)
}

// check refuses what cannot work, or would weaken the sandbox.
func (s *Sandbox) check() error {
	if len(s.Args) == 0 || s.Args[0] == "" {
		return errors.New("no command was given")
	}
	if s.StateDir == "" || !filepath.IsAbs(s.Root) {
		return errors.New("a sandbox needs an absolute root and a directory for its state")
	}
	if s.Dir != "" && !path.IsAbs(s.Dir) {
		return fmt.Errorf("working directory %q is not absolute", s.Dir)
	}
	switch s.Network {
	case "", "private", "host", "none":
	default:
		return fmt.Errorf("unknown network %q: use private, host or none", s.Network)
	}
	for _, m := range s.Mounts {
		if err := m.check(); err != nil {
			return fmt.Errorf("mounting on %q: %w", m.Target, err)
		}
	}
	return checkMapped(s.UID, s.GID, s.Groups)
}

func (m *Mount) check() error {
	t := path.Clean(m.Target)
	switch {
	case !path.IsAbs(m.Target):
		return errors.New("the path is not absolute")
	case len(m.Target) >= unix.PathMax:
		return errors.New("the path is too long")
	case strings.ContainsRune(m.Target+m.Source, 0):
		return errors.New("the path contains a zero byte")
	case t == "/" || t == "/dev" || under(t, "/proc") || under(t, "/sys"):
		return errors.New("this path belongs to the sandbox")
	case m.Type != "bind" && m.Type != "tmpfs":
		return fmt.Errorf("unknown type %q", m.Type)
	case m.Type == "bind" && !filepath.IsAbs(m.Source):
		return fmt.Errorf("source %q is not absolute", m.Source)
	}
	return nil
}

// under says whether the clean path p is dir or below it.
func under(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, dir+"/")
}

// checkMapped refuses ids that do not exist in this user namespace: the kernel would only say EINVAL.
func checkMapped(uid, gid int, groups []int) error {
	for file, ids := range map[string][]int{"/proc/self/uid_map": {uid}, "/proc/self/gid_map": append([]int{gid}, groups...)} {
		b, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading the ids of this process: %w", err)
		}
		ranges, err := parseIDMap(string(b))
		if err != nil {
			return fmt.Errorf("parsing %s: %w", file, err)
		}
		for _, id := range ids {
			if !isMapped(ranges, id) {
				return &Missing{
					What:   fmt.Sprintf("id %d is not among the ids that this user has", id),
					Remedy: "grant more subordinate ids, e.g.: sudo usermod --add-subuids 200000-265535 --add-subgids 200000-265535 $USER",
				}
			}
		}
	}
	return nil
}

func isMapped(ranges []idRange, id int) bool {
	for _, r := range ranges {
		if int64(id) >= int64(r.Inside) && int64(id) < int64(r.Inside)+int64(r.Count) {
			return true
		}
	}
	return false
}

// notice tells the caller what is weaker than asked.
func (s *Sandbox) notice(text string) {
	if s.Notice != nil {
		s.Notice(text)
	}
}
