package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	seccompprofile "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/capabilities"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/seccomp"
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// config translates the sandbox for libcontainer. There is no user namespace in it: this process is in that already.
func (r *run) config() (*configs.Config, error) {
	mounts, err := r.mounts()
	if err != nil {
		return nil, err
	}
	caps, err := grant(capabilities.KnownCapabilities(), r.Insecure, r.CapAdd, r.CapDrop)
	if err != nil {
		return nil, err
	}
	rlimits, err := r.rlimits()
	if err != nil {
		return nil, err
	}
	c := &configs.Config{
		Rootfs:          r.root,
		Readonlyfs:      r.ReadOnlyRoot,
		Hostname:        r.hostname(),
		Namespaces:      r.namespaces(),
		Mounts:          mounts,
		Rlimits:         rlimits,
		Networks:        r.net.loopback,
		Capabilities:    &configs.Capabilities{Bounding: caps, Permitted: caps, Effective: caps},
		RootlessCgroups: true,
		Cgroups:         r.cgroup(),
		Version:         specs.Version,
		Umask:           new(uint32(0o022)), // said for Exec, too, whose process would have the caller's
	}
	c.NoNewPrivileges = r.NoNewPrivileges
	if !r.Insecure && !r.Unmasked {
		c.MaskPaths, c.ReadonlyPaths = maskedPaths(), readonlyPaths()
	}
	if !r.Insecure {
		if c.Seccomp, err = r.filter(caps); err != nil {
			return nil, err
		}
	}
	if r.KeepID != nil {
		c.UIDMappings, c.GIDMappings = r.KeepID.mappings()
	}
	return c, r.addHooks(c)
}

func (r *run) namespaces() configs.Namespaces {
	list := configs.Namespaces{{Type: configs.NEWNS}, {Type: configs.NEWPID}, {Type: configs.NEWUTS}, {Type: configs.NEWCGROUP}}
	if !r.HostIPC {
		list = append(list, configs.Namespace{Type: configs.NEWIPC})
	}
	if r.KeepID != nil {
		list = append(list, configs.Namespace{Type: configs.NEWUSER})
	}
	if !r.net.host {
		list = append(list, configs.Namespace{Type: configs.NEWNET, Path: r.net.namespace})
	}
	return list
}

func (r *run) rlimits() ([]configs.Rlimit, error) {
	all, err := limits(r.Ulimits)
	out := make([]configs.Rlimit, len(all))
	for i, l := range all {
		out[i] = configs.Rlimit{Type: l.kind, Soft: l.soft, Hard: l.hard}
	}
	return out, err
}

// filter is moby's default profile, as it is for these capabilities, without the 32-bit architectures: through their
// socketcall, a filter on socket(2) can be passed by (moby takes that risk).
func (r *run) filter(caps []string) (*configs.Seccomp, error) {
	if !seccomp.Enabled || r.Seccomp == "unconfined" {
		return nil, nil
	}
	spec := &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}}}
	if r.Seccomp != "" {
		profile, err := seccompprofile.LoadProfile(r.Seccomp, spec)
		if err != nil {
			return nil, fmt.Errorf("reading the system call filter: %w", err)
		}
		return specconv.SetupSeccomp(profile)
	}
	profile, err := seccompprofile.GetDefaultProfile(spec)
	if err != nil {
		return nil, fmt.Errorf("making the system call filter: %w", err)
	}
	profile.Architectures = profile.Architectures[:min(1, len(profile.Architectures))]
	if r.hasGPU() {
		profile.Syscalls = append(profile.Syscalls, specs.LinuxSyscall{Names: gpuCalls, Action: specs.ActAllow})
	}
	return specconv.SetupSeccomp(profile)
}

// gpuCalls are what CUDA shares memory between processes with, and places it near a GPU. The user namespace bounds them.
var gpuCalls = []string{"pidfd_open", "pidfd_getfd", "process_vm_readv", "process_vm_writev", "mbind", "set_mempolicy", "get_mempolicy", "move_pages"}

// execute runs the container to its end.
func (r *run) execute(ctx context.Context, config *configs.Config) (err error) {
	// The death signal of the container's init (see Init) comes when the thread ends that made it, so this one stays.
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	container, err := libcontainer.Create(filepath.Join(r.dir, "containers"), r.id, config)
	if err != nil {
		return fmt.Errorf("creating the sandbox: %w", err)
	}
	defer func() { err = errors.Join(err, container.Destroy()) }()
	process, inout, err := r.process()
	if err != nil {
		return err
	}
	defer inout.close()
	if err := container.Run(process); err != nil {
		_ = process.Signal(unix.SIGKILL)
		_, _ = process.Wait()
		return explainStart(err)
	}
	if err := inout.attach(r.Sandbox); err != nil {
		_ = process.Signal(unix.SIGKILL)
		_, _ = process.Wait()
		return err
	}
	stop := context.AfterFunc(ctx, func() { r.terminate(process) })
	defer stop()
	if r.Started != nil {
		r.Started(&Process{r, container, process})
	}
	state, err := process.Wait()
	inout.finish()
	r.tellOutOfMemory()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return exitError(state, err)
}

// streams are what the command reads and writes: a terminal, or pipes.
type streams struct {
	*console
	stdin *os.File
}

func (s streams) attach(box *Sandbox) error {
	if s.console == nil {
		return nil
	}
	return s.console.attach(box.Terminal, box.Stdin, box.Stdout)
}

func (s streams) finish() {
	if s.console != nil {
		s.console.finish()
	}
}

func (s streams) close() {
	if s.console != nil {
		s.console.close()
	}
	if s.stdin != nil {
		s.stdin.Close()
	}
}

func (r *run) process() (*libcontainer.Process, streams, error) {
	env, err := r.environ()
	if err != nil {
		return nil, streams{}, err
	}
	p := &libcontainer.Process{
		Init: true, Args: r.Args, Env: env, Cwd: r.Dir, UID: r.UID, GID: r.GID, AdditionalGroups: slices.Clone(r.Groups),
	}
	if r.Reaper {
		p.Args = append([]string{reaperPath}, r.Args...)
	}
	if p.Cwd == "" {
		p.Cwd = "/"
	}
	if !slices.Contains(p.AdditionalGroups, r.GID) {
		p.AdditionalGroups = append(p.AdditionalGroups, r.GID)
	}
	if r.Terminal != nil {
		c, err := newConsole()
		if err != nil {
			return nil, streams{}, err
		}
		p.ConsoleSocket, p.ConsoleHeight, p.ConsoleWidth = c.theirs, r.Terminal.Size.Rows, r.Terminal.Size.Cols
		return p, streams{console: c}, nil
	}
	p.Stdout, p.Stderr = copied(r.Stdout), copied(r.Stderr)
	if r.Stdin == nil {
		return p, streams{}, nil
	}
	in, err := pipeFrom(r.Stdin)
	if err != nil {
		return nil, streams{}, err
	}
	p.Stdin = in
	return p, streams{stdin: in}, nil
}

// copied hides a file from libcontainer, which would give the file itself to the sandbox's user by chown.
func copied(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok {
		return struct{ io.Writer }{f}
	}
	return w
}

// environ adds HOME here, because libcontainer would read the image's /etc/passwd without any care.
func (r *run) environ() ([]string, error) {
	env := slices.Clone(r.Env)
	for _, d := range r.Devices {
		env = append(env, d.Env...)
	}
	if slices.ContainsFunc(env, isHome) {
		return env, nil
	}
	home, err := homeOf(r.tree.open, r.UID)
	if err != nil {
		return nil, err
	}
	return append(env, "HOME="+home), nil
}

func isHome(e string) bool { return strings.HasPrefix(e, "HOME=") && e != "HOME=" }

// terminate asks the first process to end, and after the grace ends all of them.
func (r *run) terminate(p *libcontainer.Process) {
	grace := r.Grace
	if grace == 0 {
		grace = 2 * time.Second
	}
	_ = p.Signal(unix.SIGTERM)
	time.Sleep(grace)
	_ = p.Signal(unix.SIGKILL)
}

func exitError(state *os.ProcessState, err error) error {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("waiting for the command: %w", err)
	}
	ws := state.Sys().(syscall.WaitStatus)
	switch {
	case ws.Signaled():
		return &ExitError{Code: 128 + int(ws.Signal()), Signal: ws.Signal()}
	case ws.ExitStatus() != 0:
		return &ExitError{Code: ws.ExitStatus()}
	}
	return nil
}

// explainStart tells apart a command that is not there, what the host does not allow, and the rest. The errors of a
// container's init arrive as text.
func explainStart(err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "executable file not found") || strings.Contains(text, "exec: ") && strings.Contains(text, "no such file or directory"):
		return &ExitError{Code: 127, Err: fmt.Errorf("starting the command: %w", err)}
	case strings.Contains(text, "exec: ") && (strings.Contains(text, "permission denied") || strings.Contains(text, "is a directory")):
		return &ExitError{Code: 126, Err: fmt.Errorf("starting the command: %w", err)}
	case strings.Contains(text, `mounting "proc"`) && strings.Contains(text, "operation not permitted"):
		if m := decideProc(readSetting("/proc/self/mountinfo")); m != nil {
			m.Cause = err
			return m
		}
	case strings.Contains(text, "unshare remaining namespaces"): // a network of none has a namespace, too
		if err := onThread(unshareNetwork); err != nil {
			return err
		}
	}
	return fmt.Errorf("starting the sandbox: %w", err)
}
