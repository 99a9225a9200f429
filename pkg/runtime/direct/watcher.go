// This file owns the watcher: the process between this program and a command, which ends what the command leaves running.

package direct

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watcherName is the name of the process.
const watcherName = "gbuild-watcher"

// Start ends this process where Run has started it, and where a watcher has. It comes before anything else that a program does.
func Start() {
	switch {
	case len(os.Args) == 2 && os.Args[0] == watcherName:
		os.Exit(watch(os.Args[1]))
	case len(os.Args) == 1 && os.Args[0] == starterName:
		become()
	case len(os.Args) == 2 && os.Args[0] == tryName:
		os.Exit(try(os.Args[1]))
	}
}

// socketFD is where each of our processes finds the socket to the one that started it.
const socketFD = 3

// watch runs one command.
func watch(graceText string) int {
	// Orphans come here, and the signal of death comes when the thread ends that starts the command.
	runtime.LockOSThread()
	Hide()
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	// They are meant for others. Ignored, they would be ignored by the command, too.
	signal.Notify(make(chan os.Signal, 1), unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	unix.CloseOnExec(socketFD)
	socket := os.NewFile(socketFD, "socket")
	grace, err := time.ParseDuration(graceText)
	if err != nil {
		return 1
	}
	lines := json.NewDecoder(socket)
	var c Command
	if err := lines.Decode(&c); err != nil {
		return 1 // who started it is gone
	}
	for _, fd := range []int{1, 2} {
		giveStream(fd, c.UID)
	}
	end := run(&c, grace, io.MultiReader(lines.Buffered(), socket))
	if err := json.NewEncoder(socket).Encode(end); err != nil {
		return 1
	}
	return 0
}

// run runs a command, and undoes what it has changed of the directory of devices.
func run(c *Command, grace time.Duration, words io.Reader) (end ended) {
	if c.Devices != "" {
		before, err := nodesIn(c.Devices)
		if err != nil {
			return ended{Refused: startError("looking at "+c.Devices, err)}
		}
		defer func() {
			if err := before.restore(c.Devices); err != nil {
				end.Left = err.Error()
			}
		}()
	}
	first, refused := start(c)
	if refused != nil {
		return ended{Refused: refused}
	}
	w := &watcher{grace: grace}
	w.first.Store(int64(first))
	go w.hear(words)
	return ended{Status: uint32(w.reap())}
}

// giveStream lets the user of the command open its output anew, as by /dev/stderr. Pipes are our own; what else is there is not.
func giveStream(fd, uid int) {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
		_ = unix.Fchown(fd, uid, -1)
	}
}

// start starts the command, and waits until it is the command. It says why it is not.
func start(c *Command) (pid int, refused *StartError) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, startError("making a socket", err)
	}
	ours, theirs := os.NewFile(uintptr(ends[0]), "socket"), os.NewFile(uintptr(ends[1]), "socket")
	defer ours.Close()
	cmd := &exec.Cmd{Path: selfExe, Args: []string{starterName}, Env: []string{}, Dir: "/", ExtraFiles: []*os.File{theirs},
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, SysProcAttr: &syscall.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL}}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return 0, startError("starting a process", err)
	}
	text, err := json.Marshal(c)
	if err == nil {
		_, err = ours.Write(text) // and no byte after it, which nobody would read: that would be an error of the socket
	}
	if err != nil {
		refused = startError("describing the command", err)
	} else if err := json.NewDecoder(ours).Decode(&refused); errors.Is(err, io.EOF) {
		return cmd.Process.Pid, nil
	} else if err != nil {
		refused = startError("starting the command", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return 0, refused
}

// watcher is a command that runs.
type watcher struct {
	grace time.Duration
	first atomic.Int64 // the number of the command; 0 when it has ended
	kill  atomic.Bool  // all is to be killed, the command too
}

// hear waits for the word that the command shall end, or for the end of who started it.
func (w *watcher) hear(socket io.Reader) {
	for b := make([]byte, 1); ; {
		_, err := io.ReadFull(socket, b)
		switch {
		case err != nil:
			w.killAll()
			return
		case b[0] == stopWord:
			if first := int(w.first.Load()); first > 0 {
				_ = unix.Kill(first, unix.SIGTERM)
			}
			time.AfterFunc(w.grace, w.killAll)
		}
	}
}

// killAll kills the command and all that it has started.
func (w *watcher) killAll() {
	w.kill.Store(true)
	killDescendants()
}

// reap waits for the command, and then kills until it has no descendants: those whose parent is gone are children of the watcher.
func (w *watcher) reap() (status unix.WaitStatus) {
	for wait := time.Millisecond; ; {
		var ws unix.WaitStatus
		first := int(w.first.Load())
		how := unix.WNOHANG
		if first > 0 && !w.kill.Load() {
			how = 0
		}
		pid, err := unix.Wait4(-1, &ws, how, nil)
		switch {
		case err == unix.EINTR:
		case err != nil: // there are no children
			return status
		case pid == first && first > 0:
			status = ws
			w.first.Store(0)
		case pid == 0:
			killDescendants()
			time.Sleep(wait)
			wait = min(2*wait, 50*time.Millisecond)
		}
	}
}

// Hide keeps this process, its environment and its memory from being read by others that may not trace it. What it starts is not hidden.
func Hide() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
