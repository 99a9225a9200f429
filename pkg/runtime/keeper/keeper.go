// This file owns the keeper from the side of who starts it, and its own.

package keeper

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/procfs"
)

// Keeper kills what a sandbox leaves running, once its socket is closed. A nil one does nothing.
type Keeper struct {
	cmd    *exec.Cmd
	socket *os.File
	mounts *os.File // the mount namespace of the sandbox; nil as long as that is not known
}

// processName is the name of the process.
const processName = "gbuild-keeper"

// Start starts a keeper. It has a session of its own, so that a terminal's signals do not reach it.
func Start() (*Keeper, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a socket: %w", err)
	}
	k := &Keeper{socket: os.NewFile(uintptr(ends[0]), "socket")}
	theirs := os.NewFile(uintptr(ends[1]), "socket")
	defer theirs.Close()
	k.cmd = &exec.Cmd{Path: "/proc/self/exe", Args: []string{processName}, Dir: "/", Stdin: theirs, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if err := k.cmd.Start(); err != nil {
		k.socket.Close()
		return nil, fmt.Errorf("starting the process that ends what a command leaves running: %w", err)
	}
	return k, nil
}

// Watch tells the keeper which sandbox it is for, by its first process, which does not run a command yet. The namespace stays
// open, on both sides: as long as one looks for its number, it must not become another's.
func (k *Keeper) Watch(pid int) error {
	if k == nil {
		return nil
	}
	mounts, err := openMounts(pid)
	if err == nil {
		k.mounts = mounts
		err = unix.Sendmsg(int(k.socket.Fd()), []byte{0}, unix.UnixRights(int(k.mounts.Fd())), nil, unix.MSG_NOSIGNAL)
	}
	if err != nil {
		return fmt.Errorf("handing on the mount namespace of the sandbox: %w", err)
	}
	return nil
}

// openMounts opens the mount namespace of a sandbox, by its first process; never that of this program, which is no sandbox's.
func openMounts(pid int) (*os.File, error) {
	mounts, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil {
		return nil, err
	}
	theirs, err := mounts.Stat()
	for _, own := range []string{"/proc/self/ns/mnt", "/proc/thread-self/ns/mnt"} {
		var ours fs.FileInfo
		if err == nil {
			ours, err = os.Stat(own)
		}
		if err == nil && os.SameFile(ours, theirs) {
			err = errors.New("it is the one of this program")
		}
	}
	if err != nil {
		mounts.Close()
		return nil, err
	}
	return mounts, nil
}

// End waits for the end of the first process, and until no process of the sandbox is left: they may hold the pipes of its
// output open. A command may have killed the keeper; then the work is done here.
func (k *Keeper) End(first int) {
	if k == nil {
		return
	}
	awaitEnd(first)
	k.socket.Close()
	err := k.cmd.Wait()
	if k.mounts == nil {
		return
	}
	if err != nil {
		killAll(k.mounts)
	}
	k.mounts.Close()
}

// Run ends this process where Start has started it.
func Run() {
	if !slices.Equal(os.Args, []string{processName}) {
		return
	}
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	mounts := receive()
	_, _ = io.Copy(io.Discard, os.Stdin)
	if mounts != nil {
		killAll(mounts)
	}
	os.Exit(0)
}

// receive takes in the namespace that Watch sends; nil where none comes.
func receive() *os.File {
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(0, make([]byte, 1), rights, unix.MSG_CMSG_CLOEXEC)
	for err == unix.EINTR {
		_, n, _, _, err = unix.Recvmsg(0, make([]byte, 1), rights, unix.MSG_CMSG_CLOEXEC)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:max(n, 0)])
	if err != nil || len(messages) == 0 {
		return nil
	}
	files, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(files) == 0 {
		return nil
	}
	return os.NewFile(uintptr(files[0]), "mounts")
}

// killAll kills the processes in a mount namespace, and those that they started, until a look at all processes finds none. A
// look misses a process that was started after it began, by one that had ended when its turn came. So one does not count in
// which somebody ended of whom nothing was known, unless others around keep starting and ending processes all the time.
func killAll(mounts *os.File) {
	const enough = 20
	ns, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", mounts.Fd()))
	if err != nil {
		return
	}
	known := map[int]string{}
	for doubts, wait := 0, time.Millisecond; doubts < enough; wait = min(2*wait, 50*time.Millisecond) {
		found, sure := processesIn(ns, known)
		switch {
		case len(found) > 0:
			doubts = 0
		case sure:
			return
		default:
			doubts++
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

// processesIn finds the processes in a mount namespace and their descendants, each with the mount namespace that it is in; sure
// says that there are no others. What was known of processes before is brought up to date. This process and those that it comes
// from are never among them, nor is one for being a descendant of theirs.
func processesIn(ns string, known map[int]string) (found map[int]string, sure bool) {
	const ended = "ended"
	now, parents, found := map[int]string{}, map[int]int{}, map[int]string{}
	sure = true
	for _, pid := range procfs.Processes() {
		var err error
		if now[pid], err = mountNamespace(pid); err != nil && !errors.Is(err, fs.ErrPermission) {
			sure = sure && known[pid] != "" && known[pid] != ns
			known[pid] = ended
			continue
		}
		known[pid], parents[pid] = now[pid], procfs.Parent(pid)
	}
	spared := map[int]bool{}
	for at := os.Getpid(); at != 0 && !spared[at]; at = parents[at] {
		spared[at] = true
	}
	for pid, own := range now {
		// Numbers may have changed hands meanwhile: no circle is walked for ever.
		for at, n := pid, 0; own != "" && at != 0 && !spared[at] && n < len(now); at, n = parents[at], n+1 {
			if now[at] == ns {
				found[pid] = own
				break
			}
		}
	}
	return found, sure
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
