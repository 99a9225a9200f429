package main

import (
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// execOptions are the flags of gbuild exec.
type execOptions struct {
	env                      []string
	user, workdir            string
	interactive, tty, detach bool
}

func newExecCommand(a *app) *cobra.Command {
	o := &execOptions{}
	c := &cobra.Command{
		Use: "exec [flags] CONTAINER COMMAND [ARG...]", Short: "Run a further command in a container", Args: cobra.MinimumNArgs(2),
		Example: "  gbuild exec -it api bash",
		RunE: func(_ *cobra.Command, args []string) error {
			return a.containerExit(a.exec(o, args[0], args[1:]))
		},
	}
	f := c.Flags()
	f.SetInterspersed(false)
	f.BoolVarP(&o.interactive, "interactive", "i", false, "pass standard input on")
	f.BoolVarP(&o.tty, "tty", "t", false, "give the command a terminal")
	f.BoolVarP(&o.detach, "detach", "d", false, "do not wait for the command")
	f.VarP((*list)(&o.env), "env", "e", "NAME=VALUE, or NAME to pass the caller's (repeatable)")
	f.StringVarP(&o.user, "user", "u", "", "user (name or uid[:gid])")
	f.StringVarP(&o.workdir, "workdir", "w", "", "working directory")
	return c
}

func (a *app) exec(o *execOptions, name string, command []string) error {
	if o.tty && o.interactive && !isTerminal(a.stdin) {
		return hint.Errorf("leave out -t, or run it in a terminal", "the input device is not a TTY")
	}
	c, err := a.findContainer(name)
	if err != nil {
		return err
	}
	r := request{Op: "exec", Args: command, Dir: o.workdir, User: o.user, Terminal: o.tty, Detached: o.detach}
	for _, e := range o.env {
		if value, ok := a.lookup(e); !strings.Contains(e, "=") && ok {
			e += "=" + value
		}
		if strings.Contains(e, "=") {
			r.Env = append(r.Env, e)
		}
	}
	if o.tty {
		r.Env = append([]string{"TERM=xterm"}, r.Env...)
		return a.execTerminal(o, c, r)
	}
	return a.execPlain(o, c, r)
}

// execPlain lends the command this process's own files.
func (a *app) execPlain(o *execOptions, c *container, r request) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	files := []*os.File{null, null, null}
	if in, ok := a.stdin.(*os.File); ok && o.interactive {
		files[0] = in
	}
	if !o.detach {
		files[1], files[2] = a.rawOut, a.rawErr
	}
	conn, err := c.ask(r, files...)
	if err != nil || o.detach {
		return err
	}
	defer conn.Close()
	return waitExec(conn)
}

// execTerminal gets the other end of the command's terminal.
func (a *app) execTerminal(o *execOptions, c *container, r request) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "console"), os.NewFile(uintptr(fds[1]), "console")
	defer ours.Close()
	t, restore, err := openTerminal(a.stdin, a.rawOut, o.interactive)
	if err != nil {
		return err
	}
	defer restore()
	r.Rows, r.Cols = t.Size.Rows, t.Size.Cols
	conn, err := c.ask(r, theirs)
	theirs.Close()
	if err != nil {
		return err
	}
	defer conn.Close()
	master, err := runtime.ReceiveFile(ours)
	if err != nil { // it did not start: the answer says why
		return waitExec(conn)
	}
	defer master.Close()
	if o.interactive {
		go func() { _, _ = io.Copy(master, a.stdin) }()
	}
	go func() {
		for size := range t.Resize {
			_ = runtime.SetTerminalSize(master, size)
		}
	}()
	copied := make(chan struct{})
	go func() { defer close(copied); _, _ = io.Copy(a.rawOut, master) }()
	err = waitExec(conn)
	<-copied
	return err
}

// waitExec waits for the end of the command, and passes signals on to it.
func waitExec(conn *net.UnixConn) error {
	signals := make(chan os.Signal, 8)
	signal.Reset(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	go func() {
		for s := range signals {
			_, _ = conn.Write([]byte{byte(s.(syscall.Signal))})
		}
	}()
	code, err := reply(conn)
	if err != nil && code != 0 {
		return &runtime.ExitError{Code: code, Err: err}
	}
	if err == nil && code != 0 {
		return exitStatus(code)
	}
	return err
}
