// This file owns the life of a container of libcontainer's: its first process, further ones, and the part of its start that
// runs inside of it, which is this program again. It, config.go and filter.go are the only files that know
// libcontainer.

package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"runtime/debug"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	// The constructor of nsenter does the part of a container's start that must come before the Go runtime.
	_ "github.com/opencontainers/runc/libcontainer/nsenter"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/thread"
	"github.com/gbuild/gbuild/pkg/runtime/keeper"
)

// isContainerInit says whether this process is to become the first one of a container.
func isContainerInit() bool {
	return os.Getenv("_LIBCONTAINER_INITPIPE") != "" && len(os.Args) > 1 && os.Args[1] == "init"
}

// initContainer ends in the container's command. libcontainer asks for the death signal before nsenter forks, which loses
// it; what is set here it keeps up to the command. The signal belongs to the thread, and libcontainer stays on this one.
func initContainer() {
	goruntime.LockOSThread()
	debug.SetGCPercent(-1) // the command takes the place of this process before there is much garbage
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
	thread.DefaultSignals()
	uninterrupted()
	libcontainer.Init()
}

// runContainer runs the command of a sandbox to its end.
func runContainer(ctx context.Context, s *Sandbox, p *prepared, config *configs.Config) (err error) {
	// The death signal of the container's init comes when the thread ends that made it, so this one stays.
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	container, err := libcontainer.Create(filepath.Join(p.dir, "containers"), p.id, config)
	if err != nil {
		return fmt.Errorf("creating the sandbox: %w", err)
	}
	defer func() { err = errors.Join(err, container.Destroy()) }()
	// Only in what libcontainer calls rootless it leaves groups alone. That it takes in a user namespace of its own making only, which it looks
	// at when it creates, and no more.
	config.RootlessEUID = s.keepsGroups()
	process, inout, err := firstProcess(s, p, config.Rlimits)
	if err != nil {
		return err
	}
	defer inout.close()
	left, err := startKeeper(s)
	if err != nil {
		return err
	}
	if err := start(container, process, left); err != nil {
		kill(process, left)
		return startError(err)
	}
	if err := inout.attach(s); err != nil {
		kill(process, left)
		return err
	}
	stop := context.AfterFunc(ctx, func() { terminate(process) })
	defer stop()
	if s.Started != nil {
		s.Started(&Process{process, func(ctx context.Context, o ExecOptions) error { return execIn(ctx, container, s, p, o) }})
	}
	state, err := ended(process, left)
	inout.finish()
	tellOutOfMemory(s)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return exitError(state, err)
}

// startKeeper starts a keeper where the kernel does not end all processes with the first; else there is none.
func startKeeper(s *Sandbox) (*keeper.Keeper, error) {
	if s.ownProcesses() {
		return nil, nil
	}
	return keeper.Start()
}

// start starts the first process, and lets it go on to the command when the keeper knows it.
func start(c *libcontainer.Container, p *libcontainer.Process, left *keeper.Keeper) error {
	if err := c.Start(p); err != nil {
		return err
	}
	if err := left.Watch(pidOf(p)); err != nil {
		return err
	}
	return c.Exec()
}

// ended waits for the first process, and for what it leaves.
func ended(p *libcontainer.Process, left *keeper.Keeper) (*os.ProcessState, error) {
	left.End(pidOf(p))
	return p.Wait()
}

// pidOf is the number of a process that was started, or 0.
func pidOf(p *libcontainer.Process) int {
	pid, err := p.Pid()
	if err != nil {
		return 0
	}
	return pid
}

// kill ends a container whose start failed half-way.
func kill(p *libcontainer.Process, left *keeper.Keeper) {
	_ = p.Signal(unix.SIGKILL)
	_, _ = ended(p, left)
}

// grace is the time from SIGTERM to SIGKILL.
const grace = 2 * time.Second

// terminate asks the first process to end, and after the grace ends all of them.
func terminate(p *libcontainer.Process) {
	_ = p.Signal(unix.SIGTERM)
	time.Sleep(grace)
	_ = p.Signal(unix.SIGKILL)
}

// streams are what the command reads and writes: a terminal, or pipes. Both may be nil.
type streams struct {
	console *console
	stdin   *os.File
}

// attach begins to copy, once the container has started.
func (s streams) attach(box *Sandbox) error {
	if s.console == nil {
		return nil
	}
	return s.console.attach(box.Terminal, box.Stdin, box.Stdout)
}

// finish waits for what is left of the output.
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

// firstProcess describes the command, with what it reads and writes.
func firstProcess(s *Sandbox, prep *prepared, limits []configs.Rlimit) (*libcontainer.Process, streams, error) {
	p := &libcontainer.Process{
		Init: true, Args: s.Args, Env: prep.env, Cwd: cmp.Or(s.Dir, "/"), UID: s.UID, GID: s.GID, AdditionalGroups: s.groups(s.GID, s.Groups),
	}
	if s.Reaper {
		p.Args = append([]string{reaperPath}, s.Args...)
	}
	if err := prep.calls.setUser(p, limits); err != nil {
		return nil, streams{}, err
	}
	if s.Terminal != nil {
		c, err := newConsole()
		if err != nil {
			return nil, streams{}, err
		}
		p.ConsoleSocket, p.ConsoleHeight, p.ConsoleWidth = c.theirs, s.Terminal.Size.Rows, s.Terminal.Size.Cols
		return p, streams{console: c}, nil
	}
	p.Stdout, p.Stderr = copied(s.Stdout), copied(s.Stderr)
	if s.Stdin == nil {
		return p, streams{}, nil
	}
	in, err := pipeFrom(s.Stdin)
	if err != nil {
		return nil, streams{}, err
	}
	p.Stdin = in
	return p, streams{stdin: in}, nil
}

// execIn runs a further process in the container to its end. It stays on its thread, as runContainer does.
func execIn(ctx context.Context, container *libcontainer.Container, s *Sandbox, prep *prepared, o ExecOptions) error {
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	env, err := environOf(s, prep.open, o.UID)
	if err != nil {
		return err
	}
	p := &libcontainer.Process{
		Args: o.Args, Env: append(env, o.Env...), Cwd: cmp.Or(o.Dir, s.Dir, "/"), UID: o.UID, GID: o.GID, AdditionalGroups: s.groups(o.GID, o.Groups),
		ConsoleSocket: o.Console, ConsoleHeight: o.Size.Rows, ConsoleWidth: o.Size.Cols,
	}
	config := container.Config()
	if err := prep.calls.setUser(p, config.Rlimits); err != nil {
		return err
	}
	if o.Console == nil {
		in, err := pipeFrom(o.Stdin)
		if err != nil {
			return err
		}
		defer in.Close()
		p.Stdin, p.Stdout, p.Stderr = in, copied(o.Stdout), copied(o.Stderr)
	}
	if err := container.Run(p); err != nil {
		return startError(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = p.Signal(unix.SIGKILL) })
	defer stop()
	if o.Started != nil {
		o.Started(p.Signal)
	}
	return exitError(p.Wait())
}

// copied hides a file from libcontainer, which would give the file itself to the sandbox's user by chown.
func copied(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok {
		return struct{ io.Writer }{f}
	}
	return w
}

// pipeFrom gives a pipe of our own with what comes from r: waiting for a process must not wait for a reader that has
// nothing to say, and a file given to it would be given to the sandbox's user by chown.
func pipeFrom(r io.Reader) (*os.File, error) {
	in, out, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	go func() {
		defer out.Close()
		_, _ = io.Copy(out, r)
	}()
	return in, nil
}
