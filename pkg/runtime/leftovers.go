// This file owns the end of the processes of a sandbox that shares the numbers of processes with this program: the kernel does
// not end them with the first one. They are known by their mount namespace, which a sandbox shares with nobody and a command
// cannot leave under the default filter of system calls; so several sandboxes beside each other are not taken for one. A
// process of our own, the keeper, looks for them and kills them, so that this also happens where this program is killed.

package runtime

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// keeper kills what a sandbox leaves running, once its pipe is closed.
type keeper struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
	ns   string // the mount namespace of the sandbox; "" as long as that is not known
}

// keeperName is the name of the process.
const keeperName = "gbuild-keeper"

// startKeeper starts a keeper where one is needed, else it gives nil. It has a session of its own, so that a terminal's signals
// do not reach it.
func startKeeper() (*keeper, error) {
	if ownParts().proc {
		return nil, nil
	}
	cmd := &exec.Cmd{Path: selfExe, Args: []string{keeperName}, Dir: "/", SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	pipe, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("starting the process that ends what a command leaves running: %w", err)
	}
	return &keeper{cmd: cmd, pipe: pipe}, nil
}

// watch tells the keeper which sandbox it is for, by its first process, which does not run a command yet.
func (k *keeper) watch(pid int) (err error) {
	if k == nil {
		return nil
	}
	if k.ns, err = mountNamespace(pid); err == nil {
		_, err = fmt.Fprintln(k.pipe, k.ns)
	}
	if err != nil {
		return fmt.Errorf("finding the mount namespace of the sandbox: %w", err)
	}
	return nil
}

// end waits for the end of the first process, and until no process of the sandbox is left: they may hold the pipes of its
// output open. A command may have killed the keeper; then the work is done here.
func (k *keeper) end(first int) {
	if k == nil {
		return
	}
	awaitEnd(first)
	k.pipe.Close()
	if k.cmd.Wait() != nil && k.ns != "" {
		killAll(k.ns)
	}
}

// runKeeper ends this process where startKeeper has started it.
func runKeeper() {
	if !slices.Equal(os.Args, []string{keeperName}) {
		return
	}
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	in := bufio.NewReader(os.Stdin)
	ns, _ := in.ReadString('\n')
	_, _ = io.Copy(io.Discard, in)
	if ns = strings.TrimSpace(ns); ns != "" {
		killAll(ns)
	}
	os.Exit(0)
}

// killAll kills the processes in a mount namespace, and those that they started, until none is left.
func killAll(ns string) {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		found := processesIn(ns)
		if len(found) == 0 {
			return
		}
		for pid, in := range found {
			killIn(pid, in)
		}
		time.Sleep(wait)
	}
}

// killIn kills a process, unless its number is another's by now, which has another mount namespace.
func killIn(pid int, ns string) {
	p, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	defer func() { _ = p.Release() }()
	if now, _ := mountNamespace(pid); now == ns {
		_ = p.Kill()
	}
}

// processesIn finds the processes in a mount namespace and their descendants, each with the mount namespace that it is in.
func processesIn(ns string) map[int]string {
	in, parents, found := map[int]string{}, map[int]int{}, map[int]string{}
	list, _ := os.ReadDir("/proc")
	for _, e := range list {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			in[pid], _ = mountNamespace(pid)
			parents[pid] = parentOf(pid)
		}
	}
	for pid, own := range in {
		// Numbers may have changed hands meanwhile: no circle is walked for ever.
		for at, n := pid, 0; own != "" && at != 0 && n < len(in); at, n = parents[at], n+1 {
			if in[at] == ns {
				found[pid] = own
				break
			}
		}
	}
	return found
}

// parentOf gives the parent of a process, or 0.
func parentOf(pid int) int {
	stat := readSetting(fmt.Sprintf("/proc/%d/stat", pid))
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(f[1])
	return parent
}

// mountNamespace names the mount namespace of a process. One whose first thread has ended is asked by the others.
func mountNamespace(pid int) (string, error) {
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if !errors.Is(err, fs.ErrNotExist) {
		return ns, err
	}
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/ns/mnt", pid))
	for _, t := range threads {
		if ns, err := os.Readlink(t); err == nil {
			return ns, nil
		}
	}
	return "", err
}

// awaitEnd waits until a child has ended, and leaves its state to who waits for it next.
func awaitEnd(pid int) {
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}
