package direct

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// callerVar makes the test binary a program that runs a command by Run; the other one names its directory of devices.
const (
	callerVar        = "GBUILD_TEST_DIRECT_CALLER"
	callerDevicesVar = "GBUILD_TEST_DIRECT_DEVICES"
)

func TestMain(m *testing.M) {
	Start()
	if script := os.Getenv(callerVar); script != "" {
		c := &Command{Dir: "/", Args: []string{"/bin/sh", "-c", script}, Env: os.Environ(), Stdout: os.Stdout, Devices: os.Getenv(callerDevicesVar)}
		_, _ = c.Run(context.Background(), time.Second)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// dockers are the capabilities of Docker's default container.
var dockers = []int{unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_KILL, unix.CAP_SETGID, unix.CAP_SETUID, unix.CAP_SETPCAP,
	unix.CAP_NET_BIND_SERVICE, unix.CAP_NET_RAW, unix.CAP_SYS_CHROOT, unix.CAP_MKNOD, unix.CAP_AUDIT_WRITE, unix.CAP_SETFCAP}

// command is a script of root on the files of this host.
func command(t *testing.T, script string) (*Command, *bytes.Buffer) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root becomes other users")
	}
	out := &bytes.Buffer{}
	return &Command{Dir: "/", Args: []string{"sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH"), "GREETING=hello"}, Capabilities: dockers,
		Stdout: out, Stderr: out}, out
}

func TestWhatACommandIs(t *testing.T) {
	t.Setenv("SECRET", "of the caller")
	syscall.Umask(0o077)
	for _, test := range []struct {
		name   string
		change func(*Command)
		script string
		want   string
	}{
		{"root", func(*Command) {}, "id -u; id -g; id -G; umask; pwd; echo $GREETING$SECRET; grep -h CapEff /proc/self/status", "0\n0\n0\n0022\n/\nhello\nCapEff:\t00000000a80425fb\n"},
		{"a user", func(c *Command) { c.UID, c.GID, c.Groups, c.Dir = 1234, 99, []int{99, 7}, "/usr" }, "id -u; id -g; id -G; pwd; grep -hE 'CapEff|CapBnd' /proc/self/status",
			"1234\n99\n99 7\n/usr\nCapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\n"},
		{"a limit", func(c *Command) { c.Limits = []Limit{{unix.RLIMIT_NOFILE, 77, 99}} }, "ulimit -n; ulimit -Hn", "77\n99\n"},
		{"no new rights", func(c *Command) { c.NoNewRights = true }, "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1\n"},
		{"output that is opened again", func(c *Command) { c.UID = 1234 }, "echo again > /dev/stderr; echo more > /dev/stdout", "again\nmore\n"},
		{"its own session, and nothing open", func(*Command) {}, `test $(ps -o sid= -p $$) = $$ && exec ls -x /proc/self/fd`, "0  1  2  3\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, out := command(t, test.script)
			test.change(c)
			status, err := c.Run(t.Context(), time.Second)
			if err != nil || status != 0 || out.String() != test.want {
				t.Errorf("%v, %v: %q, not %q", status, err, out, test.want)
			}
		})
	}
}

func TestHowACommandEnds(t *testing.T) {
	for script, want := range map[string]syscall.WaitStatus{"exit 3": 3 << 8, "kill -9 $$": 9, "kill -TERM $$": 15, "true": 0} {
		c, _ := command(t, script)
		if status, err := c.Run(t.Context(), time.Second); err != nil || status&^0x80 != want {
			t.Errorf("%s: %x, %v", script, status, err)
		}
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"plain": "", "lost": "#!/no/such/interpreter\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir+"/lost", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]syscall.Errno{"nosuch": unix.ENOENT, "/nosuch": unix.ENOENT, dir + "/plain": unix.EACCES, dir: unix.EISDIR, dir + "/lost": unix.ENOENT} {
		c, _ := command(t, "")
		c.Args = []string{name}
		var refused *StartError
		if _, err := c.Run(t.Context(), time.Second); !errors.As(err, &refused) || refused.Errno != want && !(want == unix.EISDIR && refused.Errno == unix.EACCES) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnotherRoot(t *testing.T) {
	c, out := command(t, "")
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip(err)
	}
	text, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	c.Root = t.TempDir()
	if err := os.WriteFile(c.Root+"/sh", text, 0o755); err != nil {
		t.Fatal(err)
	}
	c.Args, c.Env = []string{"sh", "-c", "echo *; cd ..; pwd"}, []string{"PATH=/"}
	if status, err := c.Run(t.Context(), time.Second); err != nil || status != 0 || out.String() != "sh\n/\n" {
		t.Errorf("%v, %v: %q", status, err, out)
	}
}

// A RUN that is root of the container reads neither the variables nor the memory of our processes.
func TestOurProcessesAreHidden(t *testing.T) {
	c, out := command(t, "for p in $PPID $OUR; do cat /proc/$p/environ; head -c1 /proc/$p/mem; cat /proc/$p/fd/0; cat /proc/$p/root/etc/hostname; done; true")
	c.Env = append(c.Env, "OUR="+strconv.Itoa(os.Getpid()))
	Hide()
	defer func() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) }()
	if _, err := c.Run(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "Permission denied"); n != 8 {
		t.Errorf("%d are refused:\n%s", n, out)
	}
}

func TestNothingOfACommandIsLeft(t *testing.T) {
	for name, script := range map[string]string{
		"after its end":                     "sleep 87.75 & setsid sleep 87.75 & exit 3",
		"of one that ends at once":          "(setsid sleep 87.75 &); exit 3",
		"of what does not hear the signals": "(trap '' TERM HUP; sleep 87.75) & exit 3",
		"of another user":                   "setpriv --reuid 1234 --clear-groups setsid sleep 87.75 & exit 3",
		"of what goes on starting others":   "(while :; do setsid sleep 87.75 & sleep 0.001; done) & sleep 0.2; exit 3",
	} {
		t.Run(name, func(t *testing.T) {
			c, out := command(t, script)
			if status, err := c.Run(t.Context(), time.Second); err != nil || status.ExitStatus() != 3 {
				t.Errorf("%v, %v: %s", status, err, out)
			}
			nobodySleeps(t)
		})
	}
	t.Run("when it is cancelled", func(t *testing.T) {
		c, out := command(t, "trap 'echo asked; exit 4' TERM; (trap '' TERM; sleep 87.75) & sleep 87.75 & wait")
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if status, err := c.Run(ctx, 100*time.Millisecond); err != nil || status.ExitStatus() != 4 || out.String() != "asked\n" {
			t.Errorf("%v, %v: %q", status, err, out)
		}
		nobodySleeps(t)
	})
	t.Run("when it does not hear", func(t *testing.T) {
		c, _ := command(t, "trap '' TERM; sleep 87.75 & wait")
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if status, err := c.Run(ctx, 100*time.Millisecond); err != nil || !status.Signaled() {
			t.Errorf("%v, %v", status, err)
		}
		nobodySleeps(t)
	})
}

// Others of this place go on, also those that stand beside the command below the same process.
func TestOthersAreLeftAlone(t *testing.T) {
	c, _ := command(t, "sleep 87.75 & exit 0")
	other := exec.Command("sleep", "66.6")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	if _, err := c.Run(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error(err)
	}
}

// Whoever is killed, who started the command or the watcher, the command ends.
func TestTheEndOfOurs(t *testing.T) {
	command(t, "")
	t.Run("the caller", func(t *testing.T) {
		caller := exec.Command("/proc/self/exe")
		caller.Env = append(os.Environ(), callerVar+"=setsid sleep 87.75 & echo there; sleep 87.75")
		out, err := caller.StdoutPipe()
		if err == nil {
			err = caller.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		_ = caller.Process.Kill()
		_ = caller.Wait()
		for range 100 {
			if len(sleepers(t)) == 0 {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		nobodySleeps(t)
	})
	t.Run("the watcher", func(t *testing.T) {
		c, _ := command(t, "kill -9 $PPID; exec sleep 87.75")
		if _, err := c.Run(t.Context(), time.Second); err == nil || !strings.Contains(err.Error(), "has been killed") {
			t.Error(err)
		}
		time.Sleep(100 * time.Millisecond)
		nobodySleeps(t)
	})
}

func TestTry(t *testing.T) {
	if os.Geteuid() != 0 {
		if lacks, err := Try(t.TempDir()); err != nil || lacks != Rights[0] {
			t.Errorf("%q, %v", lacks, err)
		}
		return
	}
	if lacks, err := Try(t.TempDir()); err != nil || lacks != "" {
		t.Errorf("%q, %v", lacks, err)
	}
}

func nobodySleeps(t *testing.T) {
	t.Helper()
	for _, name := range sleepers(t) {
		t.Errorf("%s is left", name)
	}
}

func sleepers(t *testing.T) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if text, _ := os.ReadFile(name); strings.Contains(string(text), "sleep\x0087.75") {
			found = append(found, fmt.Sprint(name))
		}
	}
	return found
}

// However long the description of a command is, it is read to its end: else the socket would seem broken.
func TestDescriptionsOfAnyLength(t *testing.T) {
	for _, length := range []int{512, 1536, 3584} { // these fill the buffers of who reads them
		c, out := command(t, "true")
		c.Env = append(c.Env, "PAD=")
		text, err := json.Marshal(c)
		if err != nil || len(text) > length {
			t.Fatalf("%d bytes, %v", len(text), err)
		}
		c.Env[len(c.Env)-1] += strings.Repeat("x", length-len(text))
		if status, err := c.Run(t.Context(), time.Second); err != nil || status != 0 {
			t.Errorf("%d bytes: %v, %v: %s", length, status, err, out)
		}
	}
}
