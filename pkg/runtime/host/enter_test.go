package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/testself"
	"github.com/gbuild/gbuild/internal/thread"
)

// helpers are what the test binary does instead of testing, by the value of GBUILD_TEST_HELPER.
var helpers = map[string]func() int{
	// enter:SCRIPT behaves like main: it enters once and runs the shell script there.
	"enter": func() int {
		if !Entered() {
			code, err := Enter(context.Background(), EnterOptions{})
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 99
			}
			return code
		}
		cmd := exec.Command("/bin/sh", "-c", os.Getenv("SCRIPT"))
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		code, _ := exitCode(cmd.Run())
		return code
	},
	"signals": func() int {
		if !Entered() {
			code, _ := Enter(context.Background(), EnterOptions{})
			return code
		}
		c := make(chan os.Signal, 1)
		signal.Notify(c)
		fmt.Println("ready")
		for s := range c {
			if s != syscall.SIGURG {
				fmt.Println(s)
				return 7
			}
		}
		return 1
	},
	"handed": func() int {
		if Entered() {
			_, err := os.NewFile(4, "handed").WriteString("said")
			fmt.Println(err)
			return 0
		}
		r, w, err := os.Pipe()
		code, refused := Enter(context.Background(), EnterOptions{Files: []*os.File{r}, Handed: []*os.File{w}})
		fmt.Println(errors.Join(err, refused), w.Close())
		said, err := io.ReadAll(r)
		fmt.Println(string(said), err)
		return code
	},
	"sleep": func() int {
		if !Entered() {
			code, _ := Enter(context.Background(), EnterOptions{})
			return code
		}
		fmt.Println(os.Getpid())
		time.Sleep(time.Minute)
		return 0
	},
}

func helper(t testing.TB, name string, env ...string) *exec.Cmd {
	t.Helper()
	needEntered(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), append(env, "GBUILD_TEST_HELPER="+name)...)
	return cmd
}

func TestEnterIsRootWithItsOwnMounts(t *testing.T) {
	dir := t.TempDir()
	script := `id -u; id -g; grep CapEff /proc/self/status; mount -t tmpfs x ` + dir + ` && echo mounted
		touch ` + dir + `/f && chown 5:6 ` + dir + `/f && stat -c %u:%g ` + dir + `/f
		echo $KEPT; cat; env | grep -c ^_GBUILD_ENTER`
	cmd := helper(t, "enter", "SCRIPT="+script, "KEPT=yes")
	cmd.Stdin = strings.NewReader("input\n")
	out, _ := cmd.CombinedOutput() // grep -c of nothing fails
	got := string(out)
	for _, want := range []string{"0\n0\nCapEff:\t000001ffffffffff\n", "mounted\n5:6\nyes\ninput\n0\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the output:\n%s", want, got)
		}
	}
	if mounts, _ := os.ReadFile("/proc/self/mountinfo"); bytes.Contains(mounts, []byte(dir)) {
		t.Error("the mount reached the parent's namespace")
	}
}

// A file that is handed over is the child's alone.
func TestEnterHandsFilesOver(t *testing.T) {
	out, err := helper(t, "handed").CombinedOutput()
	if want := "<nil>\n<nil> close |1: file already closed\nsaid <nil>\n"; err != nil || string(out) != want {
		t.Errorf("%q, %v", out, err)
	}
}

// Who has no subordinate ids, or may not use the helpers that map them, has the own id.
func TestEnterWithOneID(t *testing.T) {
	for _, c := range []struct {
		uid    uint32
		prefix []string
	}{{4321, nil}, {1, []string{"setpriv", "--no-new-privs"}}, {0, []string{"unshare", "-Ur"}}} {
		cmd := helper(t, "enter", "SCRIPT=cat /proc/self/uid_map /proc/self/gid_map; id -u")
		self := testself.Copy(t)
		cmd.Path, cmd.Args = self, []string{self}
		if c.prefix != nil {
			plain := exec.Command(c.prefix[0], append(c.prefix[1:], self)...)
			cmd.Path, cmd.Args = plain.Path, plain.Args
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.uid, Gid: c.uid}}
		out, err := cmd.CombinedOutput()
		line := fmt.Sprintf("0 %d 1 ", c.uid)
		if got := strings.Join(strings.Fields(string(out)), " "); err != nil || got != line+line+"0" {
			t.Errorf("%d %v: %q, %v", c.uid, c.prefix, out, err)
		}
	}
}

// Root in a chroot has no user namespace, and mounts of its own all the same.
func TestEnterInAChroot(t *testing.T) {
	needEntered(t)
	at := t.TempDir()
	err := thread.Run(func() error {
		root := filepath.Join(at, "root")
		err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("tmpfs", at, "tmpfs", 0, ""), unix.Mount("", at, "", unix.MS_SHARED, ""), os.Mkdir(root, 0o755))
		for _, dir := range []string{"/proc", "/dev", "/bin", "/lib", "/lib64", "/usr", "/tmp"} {
			if Exists(dir) {
				err = errors.Join(err, os.Mkdir(root+dir, 0o755), unix.Mount(dir, root+dir, "", unix.MS_BIND|unix.MS_REC, ""))
			}
		}
		if err != nil {
			return err
		}
		cmd := helper(t, "enter", "SCRIPT=mkdir /m && mount -t tmpfs x /m && echo mounted; cat /proc/self/uid_map; pwd")
		cmd.Path, cmd.Dir = testself.Copy(t), "/usr"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		out, err := cmd.CombinedOutput()
		if text := string(out); err != nil || !strings.HasPrefix(text, "mounted\n") || !strings.HasSuffix(text, "\n/usr\n") {
			t.Errorf("%q, %v", out, err)
		}
		mounts, err := os.ReadFile("/proc/thread-self/mountinfo")
		if bytes.Contains(mounts, []byte(root+"/m ")) {
			t.Error("a mount of the chroot is seen outside of it")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEnterExitCode(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 3": 3, "kill -9 $PPID; sleep 1": 137} {
		cmd := helper(t, "enter", "SCRIPT="+script)
		err := cmd.Run()
		if code, _ := exitCode(err); code != want {
			t.Errorf("%q: exit code %d, want %d", script, code, want)
		}
	}
}

func TestEnterForwardsSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT} {
		cmd := helper(t, "signals")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 64)
		if _, err := out.Read(buf); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Process.Signal(sig)
		n, _ := out.Read(buf)
		if code, _ := exitCode(cmd.Wait()); code != 7 || string(buf[:n]) != sig.String()+"\n" {
			t.Errorf("%v: got %q, exit code %d", sig, buf[:n], code)
		}
	}
}

func TestEnterDiesWithItsParent(t *testing.T) {
	cmd := helper(t, "sleep")
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	testself.Eventually(t, "the child is gone", func() bool {
		_, err := os.Stat(filepath.Join("/proc", fmt.Sprint(pid)))
		return err != nil || unix.Kill(pid, 0) != nil || isZombie(pid)
	})
}

func isZombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}

// Whatever keeps the ids of a user from being known is something that the host lacks: a build without a RUN goes on then.
func TestIDsThatCannotBeRead(t *testing.T) {
	own := strconv.Itoa(os.Geteuid())
	malformed := filepath.Join(t.TempDir(), "subuid")
	if err := os.WriteFile(malformed, []byte(own+":many:65536\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{malformed, filepath.Dir(malformed), malformed + "/none"} {
		if _, m := subordinateMap(file, os.Geteuid(), 1); m == nil || m.Remedy == "" {
			t.Errorf("%s: %+v", file, m)
		}
	}
}

func TestMissingAsPlainUser(t *testing.T) {
	m := missingSubordinate("/etc/subgid", "ann")
	if want := "run: sudo usermod --add-subgids 100000-165535 ann"; m.Hint() != want {
		t.Errorf("hint %q, want %q", m.Hint(), want)
	}
}

// BenchmarkEnter is the cost of coming into the namespaces.
func BenchmarkEnter(b *testing.B) {
	for b.Loop() {
		must(b, helper(b, "enter", "SCRIPT=true").Run())
	}
}
