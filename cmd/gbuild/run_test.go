package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/testimage"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// TestMain lets this binary be gbuild: in scripts, and where gbuild starts itself again.
func TestMain(m *testing.M) {
	runtime.Init()
	testscript.Main(m, map[string]func(){"gbuild": main, "executor": main})
}

// shellImage is an OCI layout with busybox, and a state directory; it skips where no sandbox can be made.
func shellImage(t testing.TB) (ref, root string) {
	t.Helper()
	if kind := host.Probe().Isolation(); !kind.CanRun() {
		t.Skip("needs user namespaces with subordinate ids and overlay; here:", kind)
	}
	img, err := testimage.Shell()
	if err != nil {
		t.Skip(err)
	}
	dir := filepath.Join(t.TempDir(), "image")
	if err := testimage.WriteLayout(dir, img); err != nil {
		t.Fatal(err)
	}
	return "oci:" + dir, t.TempDir()
}

func TestRunScripts(t *testing.T) {
	ref, _ := shellImage(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/run",
		Setup: func(e *testscript.Env) error {
			e.Setenv("IMG", ref)
			e.Setenv("GBUILD_ROOT", filepath.Join(e.WorkDir, "state"))
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			return nil
		},
	})
}

// gbuildCommand is this binary as gbuild.
func gbuildCommand(t testing.TB, root string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = append([]string{"gbuild"}, args...)
	cmd.Env = append(os.Environ(), "GBUILD_ROOT="+root)
	return cmd
}

// TestTwoDozenAndEightAtOnce starts 32 containers side by side, of which nothing may stay.
func TestTwoDozenAndEightAtOnce(t *testing.T) {
	ref, root := shellImage(t)
	if out, err := gbuildCommand(t, root, "run", ref, "true").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			out, err := gbuildCommand(t, root, "run", ref, "echo", fmt.Sprint(i)).CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != fmt.Sprint(i) {
				t.Errorf("container %d: %v: %s", i, err, out)
			}
		})
	}
	all.Wait()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), root) {
		t.Errorf("mounts stay: %v\n%s", err, mounts)
	}
	for _, dir := range []string{"containers", "drafts", "ingest", "leases"} {
		entries, _ := os.ReadDir(filepath.Join(root, dir))
		for _, e := range entries {
			if e.Name() != ".names" {
				t.Errorf("%s/%s stays", dir, e.Name())
			}
		}
	}
}

// terminal is a pseudo-terminal with gbuild on its other end.
type terminal struct {
	*testing.T
	master, slave *os.File
	cmd           *exec.Cmd
	mu            sync.Mutex
	said          bytes.Buffer
}

func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	n, err1 := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err := errors.Join(err1, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)); err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

func startOnPTY(t *testing.T, root string, args ...string) *terminal {
	t.Helper()
	p := &terminal{T: t, cmd: gbuildCommand(t, root, args...)}
	p.master, p.slave = openPTY(t)
	p.resize(31, 97)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = p.slave, p.slave, p.slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := p.master.Read(buf)
			if err != nil {
				return
			}
			p.mu.Lock()
			p.said.Write(buf[:n])
			p.mu.Unlock()
		}
	}()
	return p
}

func (p *terminal) resize(rows, cols uint16) {
	p.Helper()
	if err := runtime.SetTerminalSize(p.master, runtime.TerminalSize{Rows: rows, Cols: cols}); err != nil {
		p.Fatal(err)
	}
}

// expect waits until the output since the last call has text in it.
func (p *terminal) expect(text string) {
	p.Helper()
	for range 600 {
		p.mu.Lock()
		i := strings.Index(p.said.String(), text)
		if i >= 0 {
			p.said.Next(i + len(text))
		}
		rest := p.said.String()
		p.mu.Unlock()
		if i >= 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
		if p.cmd.ProcessState != nil {
			p.Fatalf("ended before %q: %q", text, rest)
		}
	}
	p.Fatalf("no %q in %q", text, p.said.String())
}

func (p *terminal) send(text string) {
	p.Helper()
	if _, err := p.master.WriteString(text); err != nil {
		p.Fatal(err)
	}
}

func (p *terminal) mode() unix.Termios {
	p.Helper()
	mode, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		p.Fatal(err)
	}
	return *mode
}

func (p *terminal) exit() int {
	p.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })()
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

func TestTerminal(t *testing.T) {
	ref, root := shellImage(t)
	p := startOnPTY(t, root, "run", "-it", "-e", "PS1=ready> ", ref, "sh")
	p.expect("ready> ")
	if p.mode().Lflag&unix.ECHO != 0 {
		t.Error("the terminal is not raw")
	}
	p.send("stty size; tty\r")
	p.expect("31 97\r\n")
	p.expect("/dev/pts/0\r\n")
	p.resize(40, 120)
	time.Sleep(200 * time.Millisecond)
	p.send("stty size\r")
	p.expect("40 120\r\n")
	p.send("sleep 1000; echo code $?\r")
	p.expect("echo code $?\r\n")
	time.Sleep(300 * time.Millisecond)
	p.send("\x03")
	p.expect("ready> ")
	p.send("sleep 1000\r")
	time.Sleep(300 * time.Millisecond)
	p.send("\x1a")
	p.expect("Stopped")
	p.send("kill %1; exit 7\r")
	p.send("exit 7\r") // busybox warns of stopped jobs once
	if code := p.exit(); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
	if p.mode().Lflag&unix.ECHO == 0 {
		t.Error("the terminal stays raw")
	}
}

// TestTerminalAfterKill kills the half of gbuild that made the terminal raw.
func TestTerminalAfterKill(t *testing.T) {
	ref, root := shellImage(t)
	p := startOnPTY(t, root, "run", "-it", "-e", "PS1=ready> ", ref, "sh")
	p.expect("ready> ")
	t.Cleanup(func() {
		if out, err := gbuildCommand(t, root, "prune", "--keep", "0").CombinedOutput(); err != nil {
			t.Errorf("pruning: %v: %s", err, out)
		}
	})
	if err := unix.Kill(childOf(t, p.cmd.Process.Pid), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(); code != 137 {
		t.Errorf("exit code %d, want 137", code)
	}
	if p.mode().Lflag&unix.ECHO == 0 {
		t.Error("the terminal stays raw")
	}
}

func childOf(t *testing.T, parent int) int {
	t.Helper()
	files, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, f := range files {
		b, _ := os.ReadFile(f)
		var pid int
		if _, err := fmt.Sscanf(f, "/proc/%d/status", &pid); err == nil && strings.Contains(string(b), fmt.Sprintf("\nPPid:\t%d\n", parent)) {
			return pid
		}
	}
	t.Fatalf("process %d has no child", parent)
	return 0
}

// TestRunForwardsSignals sends signals to the process that was started, which is not the one that has the container. Each of them
// reaches the command; the relay keeps those that come while it starts.
func TestRunForwardsSignals(t *testing.T) {
	ref, root := shellImage(t)
	all := host.HandedOn()
	var numbers []string
	for _, s := range all {
		numbers = append(numbers, fmt.Sprint(int(s.(syscall.Signal))))
	}
	for _, way := range [][]string{{"run"}, {"run", "-p", "127.0.0.1::80"}} { // into the namespaces before main, and by host.Enter
		words := append(way, ref, "sh", "-c", `for s in `+strings.Join(numbers, " ")+`; do trap "echo $s" $s; done; echo up; while :; do sleep 0.05; done`)
		cmd := gbuildCommand(t, root, words...)
		out, _ := cmd.StdoutPipe()
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stuck := time.AfterFunc(time.Minute, func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
		defer stuck.Stop()
		said := bufio.NewReader(out)
		if line, _ := said.ReadString('\n'); line != "up\n" {
			t.Fatalf("%v: %q", way, line)
		}
		for i, s := range all {
			_ = cmd.Process.Signal(s)
			if line, _ := said.ReadString('\n'); line != numbers[i]+"\n" {
				t.Errorf("%v: %v: the command got %q", way, s, line)
				break
			}
		}
		for range 3 { // the third that asks to end kills
			_ = cmd.Process.Signal(unix.SIGTERM)
		}
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 137 {
			t.Errorf("%v: exit code %d, want 137", way, code)
		}
	}
}
