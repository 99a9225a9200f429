package runtime

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/testself"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// around runs a helper of these tests in namespaces of its own, after a script of the shell has changed what is around them,
// which the helper cannot undo: the namespaces are those of a user namespace in that of the script. FIRST names a helper that
// comes before, SELF this program where /proc does not show it, and CONFINED a program that takes rights away.
func around(t testing.TB, change, name string, env ...string) *exec.Cmd {
	t.Helper()
	root, _ := busyboxRoot(t)
	cmd := exec.Command("unshare", "--mount", "sh", "-ec", change+"\nGBUILD_TEST_HELPER=${FIRST:-enter} SCRIPT=\"$INSIDE\" exec $CONFINED ${SELF:-/proc/$PPID/exe}")
	cmd.Env = append(os.Environ(), append(env, "ROOT="+root, "STATE="+t.TempDir(),
		"INSIDE=GBUILD_TEST_HELPER="+name+" SCRIPT=\"$SANDBOX\" exec /proc/$PPID/exe")...)
	return cmd
}

// coverProc covers a part of /proc, as containers do, whose root may not mount: else it would take that away.
const coverProc = "mount -t tmpfs cover /proc/fs; CONFINED='setpriv --ambient-caps -sys_admin --inh-caps -sys_admin --bounding-set -sys_admin'"

func output(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	t.Log(string(out))
	if err != nil {
		t.Error(err)
	}
	return string(out)
}

func contains(t testing.TB, got string, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the output", want)
		}
	}
}

func TestSandboxSharesProc(t *testing.T) {
	script := `test $$ != 1 && readlink /proc/$$/exe; test -d /proc/$PPID && echo parent; hostname; cat < /dev/stdin; echo to >/dev/stdout
		ls -A /proc/fs; echo x 2>&1 >/proc/sys/kernel/domainname; wc -c </proc/keys; readlink /proc/self/ns/mnt | cut -d: -f1
		cat /proc/*/environ | tr '\0' '\n'; ls /proc/$PPID/root; cat /proc/$PPID/fd/0; true`
	t.Setenv("CI_JOB_TOKEN", "t0ken")
	got := output(t, around(t, coverProc, "runner", "SANDBOX="+script))
	contains(t, got, "/bin/busybox\nparent\ngbuild\nto\n", "/proc/sys/kernel/domainname: Read-only file system\n0\nmnt\n", "/root: Permission denied", "/fd/0': Permission denied")
	if strings.Contains(got, "t0ken") {
		t.Error("the environment of this process can be read")
	}
}

// What covers a part of /proc and could be taken away keeps the kernel from nothing: only a try tells.
func TestSandboxOwnProcUnderCoversOfItsOwn(t *testing.T) {
	root, _ := busyboxRoot(t)
	cmd := exec.Command("unshare", "--mount", "sh", "-ec", coverProc+"\nGBUILD_TEST_HELPER=runner exec /proc/$PPID/exe")
	cmd.Env = append(os.Environ(), "ROOT="+root, "STATE="+t.TempDir(), "SCRIPT=echo $$")
	if got := output(t, cmd); got != "1\n" {
		t.Errorf("%q", got)
	}
}

// running says whether a process sleeps for so many seconds.
func running(seconds string) bool {
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range list {
		if b, _ := os.ReadFile(f); bytes.HasSuffix(b, []byte("sleep\x00"+seconds+"\x00")) {
			return true
		}
	}
	return false
}

// sleepTime is a time to sleep that no other test has.
func sleepTime(n int) string { return fmt.Sprintf("%d%d", n, os.Getpid()) }

func TestSandboxSharingProcLeavesNoProcess(t *testing.T) {
	first, second, third := sleepTime(5), sleepTime(6), sleepTime(7)
	script := "sleep " + first + " & (setsid sleep " + second + " &); (setsid sh -c '(trap \"\" TERM HUP; sleep " + third + " >/dev/null 2>&1 </dev/null) & exit' &); sleep 0.2"
	output(t, around(t, coverProc, "runner", "SANDBOX="+script))
	for _, m := range []string{first, second, third} {
		if running(m) {
			t.Error("left:", m)
		}
	}
}

func TestSandboxSharingProcDiesWithItsRunner(t *testing.T) {
	first, second := sleepTime(15), sleepTime(16)
	cmd := around(t, coverProc, "runner", "SANDBOX=setsid sleep "+first+" & (sleep "+second+" &); sleep 0.1; echo up; echo $PPID; sleep 100")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "up" {
	}
	lines.Scan()
	runner, err := strconv.Atoi(lines.Text())
	must(t, err)
	if runner < 2 {
		t.Fatal("the sandbox has numbers of processes of its own")
	}
	if !running(first) || !running(second) {
		t.Error("it does not run")
	}
	must(t, unix.Kill(runner, unix.SIGKILL))
	_ = cmd.Wait()
	testself.Eventually(t, "the sandbox is gone", func() bool { return !running(first) && !running(second) })
}

// Processes that start another and end are found, too: each generation is younger than the look that misses it.
func TestSandboxSharingProcLeavesNoGeneration(t *testing.T) {
	last := sleepTime(35)
	script := "generation() { if test $1 = 0; then exec sleep " + last + "; fi; (generation $(($1-1)) &); }; generation 300 >/dev/null 2>&1 &"
	for range 5 {
		output(t, around(t, coverProc, "runner", "SANDBOX="+script))
		time.Sleep(300 * time.Millisecond) // a chain that was missed comes to its end
		if running(last) {
			t.Fatal("left:", last)
		}
	}
}

// A sandbox that ends takes no process of another with it.
func TestSandboxesSharingProcSideBySide(t *testing.T) {
	lasting, left := sleepTime(25), sleepTime(26)
	other, _ := busyboxRoot(t)
	got := output(t, around(t, coverProc, "pair", "OTHER="+other, "LASTING="+lasting, "LEFT="+left))
	contains(t, got, "lasting: true, left: false\n")
	if running(lasting) || running(left) {
		t.Error("something is left")
	}
}

// Where there is one id, users of the sandbox get what is made for them by marks.
func TestSandboxGivesByMarksWithOneID(t *testing.T) {
	cmd := around(t, coverProc, "given", "SELF="+testself.Copy(t), "SANDBOX=id -u; stat -c %u:%g /mem /home/ann /home/ann/work; touch file && stat -c %u:%g file")
	cmd.Args = slices.Insert(cmd.Args, 1, "--user", "--map-root-user")
	contains(t, output(t, cmd), "1000\n5:6\n1000:1001\n1000:1001\n1000:1001\n")
}

func TestSandboxWhereNoHostMayBeNamed(t *testing.T) {
	name, err := os.Hostname()
	must(t, err)
	got := output(t, around(t, "", "runner", "FIRST=refusing", "SANDBOX=echo $$; hostname; cat /etc/hosts"))
	contains(t, got, "1\n"+name+"\n127.0.0.1\tlocalhost gbuild "+name+"\n")
}

// withoutSys makes a root in which all is as before, but for /sys, where nothing is mounted.
const withoutSys = `
	mkdir "$STATE/new"; mount -t tmpfs new "$STATE/new"; cd "$STATE/new"
	for d in /*; do
		if test -L "$d"; then cp -P "$d" .; elif test -d "$d"; then mkdir ".$d"; test "$d" = /sys || mount --rbind "$d" ".$d"; fi
	done
	pivot_root . .; umount -l .; cd /
	test -z "$(ls /sys)"`

func TestSandboxWithoutSys(t *testing.T) {
	got := output(t, around(t, withoutSys, "runner", "SANDBOX=echo $$; ls /sys /sys/fs; cat /proc/self/cgroup | tail -1; touch /sys/fs/cgroup/x 2>&1 | cat"))
	contains(t, got, "1\n/sys:\n", "cgroup\n", "0::/\n", "/sys/fs/cgroup/x: Read-only file system\n")
}

func init() {
	// pair runs a sandbox with a process in the background, and meanwhile another.
	helpers["pair"] = func() int {
		run := func(root, script string, out io.Writer) {
			s := &Sandbox{Root: root, StateDir: os.Getenv("STATE"), Network: "none", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin"}, Stdout: out, Stderr: os.Stderr}
			if err := s.Run(context.Background()); err != nil {
				fmt.Println(err)
			}
		}
		r, w, _ := os.Pipe()
		var lasting sync.WaitGroup
		lasting.Go(func() { run(os.Getenv("ROOT"), "sleep "+os.Getenv("LASTING")+" & echo up; sleep 2", w) })
		_, _ = r.Read(make([]byte, 1))
		run(os.Getenv("OTHER"), "sleep "+os.Getenv("LEFT")+" & sleep 0.1", nil)
		fmt.Printf("lasting: %v, left: %v\n", running(os.Getenv("LASTING")), running(os.Getenv("LEFT")))
		lasting.Wait()
		return 0
	}
	// given runs a sandbox for which directories are made that belong to users.
	helpers["given"] = func() int {
		s := &Sandbox{Root: os.Getenv("ROOT"), StateDir: os.Getenv("STATE"), Network: "none", Args: []string{"sh", "-c", os.Getenv("SCRIPT")}, Env: []string{"PATH=/bin"},
			UID: 1000, GID: 1001, Dir: "/home/ann/work", KeepID: &KeepID{UID: 1000, GID: 1001},
			Mounts: []Mount{{Type: "tmpfs", Target: "/mem", UID: 5, GID: 6}}, Stdout: os.Stdout, Stderr: os.Stdout}
		if err := s.Run(context.Background()); err != nil {
			fmt.Println(err)
			return 1
		}
		return 0
	}
	// refusing forbids a system call before it enters.
	helpers["refusing"] = func() int {
		if err := refuse(unix.SYS_SETHOSTNAME); err != nil {
			fmt.Println(err)
			return 1
		}
		os.Setenv("GBUILD_TEST_HELPER", "enter")
		fmt.Println(unix.Exec(host.SelfExe, os.Args, os.Environ()))
		return 1
	}
}

// refuse makes a system call fail with EPERM in this thread, and in what it executes.
func refuse(number uint32) error {
	goruntime.LockOSThread()
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: number, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&filter)), 0, 0)
}
