// This file owns a command that a proot executes, from its start until nothing of it is left.

package tracer

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command is a command, and what it sees.
type Command struct {
	Program string // this program, which starts the proot
	Root    string // the directory that is its root
	Binds   []Bind // what is shown in the root
	Dir     string // the working directory
	UID     int    // who the command is told that it is
	GID     int
	Args    []string
	Env     []string

	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Run runs the command, and ends what it leaves. When the context ends it gets a SIGTERM, and after the grace a SIGKILL. A command
// that a signal ends has the code 255 for proot.
func (c *Command) Run(ctx context.Context, grace time.Duration) (*os.ProcessState, error) {
	proot, err := exec.LookPath("proot")
	if err != nil {
		return nil, fmt.Errorf("finding proot: %w", err)
	}
	for _, b := range c.Binds {
		if strings.Contains(b.Source+b.Target, ":") {
			return nil, fmt.Errorf("showing %s: proot takes no colon in a name", b.Target)
		}
	}
	cmd := &exec.Cmd{Path: c.Program, Args: append([]string{processName, proot}, c.arguments()...), Env: c.Env, Dir: "/",
		Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr, SysProcAttr: &syscall.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL}}
	// The death signal comes when the thread ends that made the process, so this one stays.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting proot: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		end(ctx, cmd.Process.Pid, grace)
	}()
	err = cmd.Wait()
	<-ended
	return cmd.ProcessState, err
}

// arguments are those of proot, which ends the name of a target at a colon.
func (c *Command) arguments() []string {
	args := []string{"-v", "-1", "-r", c.Root}
	for _, name := range shown {
		args = append(args, "-b", name)
	}
	for _, b := range c.Binds {
		args = append(args, "-b", b.Source+":"+b.Target)
	}
	if c.UID == 0 && c.GID == 0 {
		args = append(args, "-0")
	} else {
		args = append(args, "-i", fmt.Sprintf("%d:%d", c.UID, c.GID))
	}
	return slices.Concat(args, []string{"-w", path.Clean(c.Dir)}, c.Args)
}

// end waits for the command that a proot traces, or for the end of the context, and ends what is left then: proot itself
// waits for all that the command has started. It returns when proot has ended.
func end(ctx context.Context, proot int, grace time.Duration) {
	first := firstTraced(proot)
	var deadline time.Time
	for wait := time.Millisecond; isAlive(proot); wait = min(2*wait, 20*time.Millisecond) {
		if ctx.Err() != nil && deadline.IsZero() {
			deadline = time.Now().Add(grace)
			signalAll([]int{first}, unix.SIGTERM)
		}
		if !isAlive(first) || !deadline.IsZero() && time.Now().After(deadline) {
			signalAll(tracedBy(proot), unix.SIGKILL)
		}
		time.Sleep(wait)
	}
}

// signalAll sends a signal to processes; 0 is none.
func signalAll(pids []int, signal unix.Signal) {
	for _, pid := range pids {
		if pid > 0 {
			_ = unix.Kill(pid, signal)
		}
	}
}

// firstTraced waits for the command, the only child that a proot has. It is 0 where that has ended already.
func firstTraced(proot int) int {
	for isAlive(proot) {
		all := tracedBy(proot)
		for _, pid := range all {
			if statusOf(pid, "PPid") == strconv.Itoa(proot) {
				return pid
			}
		}
		if len(all) > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return 0
}
