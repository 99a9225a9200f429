package runtime

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runc/libcontainer/seccomp"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/testself"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// probeSyscalls runs inside of a sandbox and prints how the system calls end that have led out of containers.
func probeSyscalls() int {
	for _, c := range []struct {
		name string
		call func() error
	}{
		{"AF_ALG", func() error { _, err := unix.Socket(unix.AF_ALG, unix.SOCK_SEQPACKET, 0); return err }},
		{"AF_VSOCK", func() error { _, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0); return err }},
		{"io_uring_setup", raw(unix.SYS_IO_URING_SETUP)},
		{"keyctl", raw(unix.SYS_KEYCTL)},
		{"bpf", raw(unix.SYS_BPF)},
		{"userfaultfd", raw(unix.SYS_USERFAULTFD)},
		{"unshare user", func() error { return exec.Command("/bin/unshare", "-U", "true").Run() }},
		{"mount", func() error { return unix.Mount("x", "/tmp", "tmpfs", 0, "") }},
		{"open_by_handle_at", raw(unix.SYS_OPEN_BY_HANDLE_AT)},
		{"setns", raw(unix.SYS_SETNS)},
		{"mknod", makeDisk},
		{"sethostname", func() error { return unix.Sethostname([]byte("x")) }},
		{"own exe", func() error { _, err := os.OpenFile("/proc/1/exe", os.O_RDWR, 0); return err }},
	} {
		if c.call() == nil {
			fmt.Println("allowed:", c.name)
		}
	}
	return 0
}

// makeDisk makes a device as a RUN may: what comes of it in the sandbox must be none.
func makeDisk() error {
	if err := unix.Mknod("/tmp/disk", unix.S_IFBLK|0o666, int(unix.Mkdev(254, 0))); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat("/tmp/disk", &st); err != nil || st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size == 0 {
		return errors.New("it is an empty file")
	}
	return nil
}

func raw(number uintptr) func() error {
	return func() error {
		_, _, errno := unix.Syscall6(number, 0, 0, 0, 0, 0, 0)
		if errno == unix.EPERM || errno == unix.ENOSYS {
			return errno
		}
		return nil // it came through the filter; its arguments were bad
	}
}

// overwriteOwn is CVE-2019-5736: it runs in a sandbox as the program that started the sandbox, keeps that open, makes
// place for a shell, so that the file is in use by nobody inside, and writes to it.
func overwriteOwn() int {
	fd, err := unix.Open("/proc/self/exe", unix.O_RDONLY, 0)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	script := fmt.Sprintf("if echo x > /proc/self/fd/%d; then echo wrote; fi", fd)
	fmt.Println(unix.Exec("/bin/sh", []string{"sh", "-c", script}, nil))
	return 1
}

func init() { helpers["probe"], helpers["overwrite"] = probeSyscalls, overwriteOwn }

// withProbe makes this test binary, and the libraries that it needs, usable in the sandbox.
func withProbe(t *testing.T, s *Sandbox) {
	t.Helper()
	exe, err := filepath.Abs(os.Args[0])
	must(t, err)
	s.Mounts = append(s.Mounts, Mount{Type: "bind", Source: exe, Target: "/probe", ReadOnly: true})
	for _, dir := range []string{"/lib", "/lib64", "/usr/lib"} {
		if _, err := os.Stat(dir); err == nil {
			s.Mounts = append(s.Mounts, Mount{Type: "bind", Source: dir, Target: dir, ReadOnly: true})
		}
	}
	s.Args, s.Env = []string{"/probe"}, []string{"PATH=/bin", "GBUILD_TEST_HELPER=probe"}
}

func TestEscapeSyscalls(t *testing.T) {
	root, _ := busyboxRoot(t)
	got := runShell(t, root, "", func(s *Sandbox) { withProbe(t, s) })
	if !seccomp.Enabled {
		// Without a filter only what needs a capability in the namespace is refused.
		for _, name := range []string{"mount", "setns", "mknod", "sethostname", "own exe"} {
			if strings.Contains(got, "allowed: "+name+"\n") && name != "setns" {
				t.Errorf("without seccomp, %s is allowed", name)
			}
		}
		t.Skip("built without seccomp")
	}
	if got != "" {
		t.Error(got)
	}
}

// Its filter refuses nothing: it lets this program make devices.
func TestEscapeInsecureIsAskedFor(t *testing.T) {
	root, _ := busyboxRoot(t)
	got := runShell(t, root, `mount -t tmpfs x /tmp && echo mounted; grep -E 'CapEff' /proc/self/status; mknod /bin/null c 1 3; stat -c %F /bin/null`, func(s *Sandbox) { s.Insecure = true })
	if want := "mounted\nCapEff:\t000001ffffffffff\nregular empty file\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// The nodes of /dev are the host's own: they can be written to, and nothing else.
func TestEscapeDeviceNodes(t *testing.T) {
	root, _ := busyboxRoot(t)
	before, err := os.Stat("/dev/full")
	must(t, err)
	got := runShell(t, root, `echo x >/dev/null && head -c 2 /dev/zero | wc -c; chmod 640 /dev/full 2>/dev/null && echo changed; (echo x >/dev/full) 2>/dev/null || echo full`)
	after, err := os.Stat("/dev/full")
	must(t, err)
	if want := "2\nfull\n"; got != want || after.Mode() != before.Mode() {
		t.Errorf("%q, want %q; the mode was %v and is %v", got, want, before.Mode(), after.Mode())
	}
}

// SEC-20: the program that starts containers cannot be overwritten from inside.
func TestEscapeOwnBinary(t *testing.T) {
	root, _ := busyboxRoot(t)
	before, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	must(t, os.WriteFile(root+"/evil", []byte("#!/proc/self/exe\n"), 0o755))
	s, _ := shell(t, root, "")
	s.Args = []string{"/evil"}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = s.Run(ctx)
	runShell(t, root, `for f in /proc/*/exe; do (echo x >> $f) 2>/dev/null && echo wrote $f; done; true`)
	after, err := os.ReadFile("/proc/self/exe")
	if must(t, err); !bytes.Equal(before, after) {
		t.Error("the binary has changed")
	}
}

// SEC-20: nor through a descriptor of it. "Text file busy" would be no protection: it ends with the last gbuild.
func TestEscapeOwnBinaryByDescriptor(t *testing.T) {
	root, _ := busyboxRoot(t)
	must(t, os.WriteFile(root+"/evil", []byte("#!/proc/self/exe\n"), 0o755))
	s, out := shell(t, root, "")
	withProbe(t, s)
	s.Args, s.Env = []string{"/evil"}, []string{"PATH=/bin", "GBUILD_TEST_HELPER=overwrite"}
	if err := s.Run(context.Background()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := out.String(); !strings.Contains(got, "Read-only file system") && !strings.Contains(got, "not permitted") {
		t.Error(got)
	}
}

// SEC-21: no descriptor of ours is in a sandbox, and none becomes a working directory.
func TestEscapeDescriptors(t *testing.T) {
	root, _ := busyboxRoot(t)
	leak, err := os.Open("/")
	must(t, err)
	defer leak.Close()
	for n := range 20 {
		s, out := shell(t, root, "ls -d /proc/self/cwd/.. ; pwd; ls etc/shadow")
		s.Dir = fmt.Sprintf("/proc/self/fd/%d", n)
		if err := s.Run(context.Background()); err == nil || strings.Contains(out.String(), "shadow") && !strings.Contains(out.String(), "No such") {
			t.Errorf("%s: %v %s", s.Dir, err, out)
		}
	}
}

// SEC-22: masks hold although the image brings its own /dev/null.
func TestEscapeMasks(t *testing.T) {
	root, _ := busyboxRoot(t)
	must(t, os.MkdirAll(root+"/dev/pts", 0o755))
	must(t, os.Symlink("/proc/sys/kernel/core_pattern", root+"/dev/null"))
	must(t, os.Symlink("/proc/sysrq-trigger", root+"/dev/console"))
	before := host.ReadSetting("/proc/sys/kernel/core_pattern")
	got := runShell(t, root, `echo evil > /dev/null; stat -c %F /dev/null; wc -c < /proc/keys; (echo evil > /proc/sys/kernel/core_pattern) 2>&1 | grep -c 'Read-only'`)
	if want := "character special file\n0\n1\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if after := host.ReadSetting("/proc/sys/kernel/core_pattern"); after != before {
		t.Errorf("core_pattern is %q now", after)
	}
}

// SEC-24, SEC-26, SEC-28: mounts that would change what the sandbox is made of, or that are malformed, are refused.
func TestEscapeMounts(t *testing.T) {
	root, _ := busyboxRoot(t)
	dir := t.TempDir()
	must(t, os.Symlink("/proc", root+"/p"))
	must(t, os.Symlink("/", root+"/self"))
	for _, m := range []Mount{
		{Type: "bind", Source: dir, Target: "/"}, {Type: "bind", Source: dir, Target: "/self"}, {Type: "bind", Source: dir, Target: "/a/.."},
		{Type: "bind", Source: dir, Target: "/proc"}, {Type: "bind", Source: dir, Target: "/proc/self/attr"}, {Type: "tmpfs", Target: "/p/sys"},
		{Type: "bind", Source: dir, Target: "/sys/fs"}, {Type: "tmpfs", Target: "/dev"}, {Type: "bind", Source: dir, Target: "relative"},
		{Type: "bind", Source: dir, Target: "/zero\x00byte"}, {Type: "bind", Source: "/" + strings.Repeat("x", 70000), Target: "/x"},
		{Type: "bind", Source: dir + "/missing", Target: "/x"}, {Type: "bind", Source: dir, Target: "/" + strings.Repeat("y/", 5000)},
		{Type: "proc", Target: "/x"}, {Type: "bind", Source: dir, Target: "/etc/passwd"},
	} {
		s, out := shell(t, root, "true")
		s.Mounts = []Mount{m}
		if err := s.Run(context.Background()); err == nil {
			t.Errorf("%.60q was mounted: %s", m.Target, out)
		}
		empty(t, s.StateDir)
	}
}

// SEC-30: a group that a file shuts out is shut out.
func TestEscapeNegativeGroup(t *testing.T) {
	root, _ := busyboxRoot(t)
	must(t, os.WriteFile(root+"/closed", []byte("x"), 0o604))
	must(t, os.Chown(root+"/closed", 1, 5000))
	got := runShell(t, root, "cat /closed 2>&1; id -G", func(s *Sandbox) { s.UID, s.GID = 1000, 5000 })
	if want := "cat: can't open '/closed': Permission denied\n5000\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// SEC-32: a listener on an abstract socket of the host is not there.
func TestEscapeAbstractSocket(t *testing.T) {
	root, _ := busyboxRoot(t)
	name := fmt.Sprintf("@gbuild-test-%d", os.Getpid())
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: name}))
	if got := runShell(t, root, "cat /proc/net/unix"); strings.Contains(got, name) {
		t.Error(got)
	}
}

// SEC-35: nothing of our environment or command line is inside.
func TestEscapeEnvironment(t *testing.T) {
	root, _ := busyboxRoot(t)
	t.Setenv("CI_JOB_TOKEN", "t0ken")
	got := runShell(t, root, "env; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; ls /proc | grep -c '^[0-9]'")
	if strings.Contains(got, "t0ken") || strings.Contains(got, "LIBCONTAINER") || strings.Contains(got, "runtime.test") {
		t.Error(got)
	}
}

// SEC-08: accounts of the image that are anything but a small file neither hang nor lead out.
func TestEscapeAccounts(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"fifo":      func(p string) error { return unix.Mkfifo(p, 0o644) },
		"directory": func(p string) error { return os.Mkdir(p, 0o755) },
		"huge":      func(p string) error { return os.WriteFile(p, nil, 0o644) },
		"loop":      func(p string) error { return os.Symlink("passwd", p) },
	} {
		root, _ := busyboxRoot(t)
		p := root + "/etc/passwd"
		must(t, os.Remove(p))
		must(t, make(p))
		if name == "huge" {
			must(t, os.Truncate(p, 1<<30))
		}
		s, out := shell(t, root, "true")
		start := time.Now()
		if err := s.Run(context.Background()); err == nil || time.Since(start) > time.Second {
			t.Errorf("%s: %v after %v: %s", name, err, time.Since(start), out)
		}
	}
	root, _ := busyboxRoot(t)
	must(t, os.Remove(root+"/etc/passwd"))
	must(t, os.Symlink("/../../../../../../../etc/passwd.of-host", root+"/etc/passwd"))
	if got := runShell(t, root, "echo $HOME"); got != "/\n" {
		t.Errorf("home %q", got)
	}
}

// Sandboxes side by side leave no mount, directory or process.
func TestSandboxesSideBySide(t *testing.T) {
	errs := make([]error, 32)
	lower, roots := busyboxLower(t), make([]string, len(errs))
	for i := range roots {
		roots[i], _ = overlay(t, lower)
	}
	state := t.TempDir()
	own := func() (n int) { // what the host mounts meanwhile arrives here too
		return strings.Count(host.ReadSetting("/proc/self/mountinfo"), filepath.Dir(state))
	}
	before := own()
	mark := fmt.Sprint("8", os.Getpid(), "8")
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			s, out := shell(t, roots[i], "sleep "+mark+" & exit 4")
			s.StateDir, s.Network = state, []string{"none", "private", "host"}[i%3]
			err := s.Run(context.Background())
			var exit *ExitError
			if !errors.As(err, &exit) || exit.Code != 4 {
				errs[i] = fmt.Errorf("%w: %s", err, out)
			}
		})
	}
	all.Wait()
	must(t, errors.Join(errs...))
	empty(t, state)
	if after := own(); after != before {
		t.Errorf("mounts name the test's directory %d times, before %d times", after, before)
	}
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	if i := slices.IndexFunc(list, func(f string) bool { b, _ := os.ReadFile(f); return bytes.Contains(b, []byte("sleep\x00"+mark)) }); i >= 0 {
		t.Error("left:", list[i])
	}
}

// A sandbox ends with the process that runs it, however that ends.
func TestSandboxDiesWithItsRunner(t *testing.T) {
	root, _ := busyboxRoot(t)
	mark := fmt.Sprint("9", os.Getpid(), "9")
	cmd := helper(t, "runner", "ROOT="+root, "STATE="+t.TempDir(), "SCRIPT=setsid sleep "+mark+" & echo up; sleep "+mark)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS} // as Enter makes one, which ends with the runner, too
	out, _ := cmd.StdoutPipe()
	must(t, cmd.Start())
	_, err := out.Read(make([]byte, 3))
	must(t, err)
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	testself.Eventually(t, "the sandbox is gone", func() bool {
		list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		return !slices.ContainsFunc(list, func(f string) bool { b, _ := os.ReadFile(f); return bytes.HasPrefix(b, []byte("sleep\x00"+mark)) })
	})
}

func init() {
	helpers["runner"] = func() int {
		s := &Sandbox{Root: os.Getenv("ROOT"), StateDir: os.Getenv("STATE"), Network: "none", Args: []string{"sh", "-c", os.Getenv("SCRIPT")}, Env: []string{"PATH=/bin"}, Stdout: os.Stdout, Stderr: os.Stdout}
		if err := s.Run(context.Background()); err != nil {
			fmt.Println(err)
			return 1
		}
		return 0
	}
}

// compatSocket is a 32-bit program: socketcall(SYS_SOCKET, {AF_UNIX, SOCK_STREAM, 0}), and exit with 42 if that was given.
func compatSocket() []byte {
	const base, headers = 0x10000, 52 + 32
	code := []byte{
		0xb8, 102, 0, 0, 0, // mov eax, socketcall
		0xbb, 1, 0, 0, 0, // mov ebx, SYS_SOCKET
		0xb9, headers + 34, 0, 1, 0, // mov ecx, the arguments below
		0xcd, 0x80, // int 0x80
		0x85, 0xc0, // test eax, eax
		0x78, 0x0c, // js: to hlt
		0xb8, 1, 0, 0, 0, // mov eax, exit
		0xbb, 42, 0, 0, 0, // mov ebx, 42
		0xcd, 0x80, // int 0x80
		0xf4,       // hlt
		1, 0, 0, 0, // AF_UNIX
		1, 0, 0, 0, // SOCK_STREAM
		0, 0, 0, 0, 0, 0, // the protocol
	}
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	size := uint32(headers + len(code))
	for _, v := range []any{
		uint16(2), uint16(3), uint32(1), uint32(base + headers), uint32(52), uint32(0), uint32(0), // ET_EXEC, EM_386
		uint16(52), uint16(32), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(0), uint32(base), uint32(base), size, size, uint32(5), uint32(0x1000), // PT_LOAD, r-x
		code,
	} {
		_ = binary.Write(&b, binary.LittleEndian, v) // a bytes.Buffer takes everything
	}
	return b.Bytes()
}

// SEC-33: the 32-bit system calls, which a filter of 64-bit ones does not see, are closed.
func TestEscapeCompatCalls(t *testing.T) {
	if !seccomp.Enabled {
		t.Skip("built without seccomp")
	}
	program := t.TempDir() + "/compat"
	must(t, os.WriteFile(program, compatSocket(), 0o755))
	var exit *exec.ExitError
	if err := exec.Command(program).Run(); !errors.As(err, &exit) || exit.ExitCode() != 42 {
		t.Skipf("this kernel runs no 32-bit programs: %v", err)
	}
	root, _ := busyboxRoot(t)
	s, _ := shell(t, root, "")
	s.Mounts = append(s.Mounts, Mount{Type: "bind", Source: program, Target: "/compat", ReadOnly: true})
	s.Args = []string{"/compat"}
	err := s.Run(context.Background())
	if err == nil || strings.Contains(err.Error(), "42") {
		t.Errorf("a 32-bit program got a socket: %v", err)
	}
}

// SEC-28: as many mounts as anybody may ask for are made or refused.
func TestEscapeManyMounts(t *testing.T) {
	root, _ := busyboxRoot(t)
	dir := t.TempDir()
	s, out := shell(t, root, "grep -c ' /m/' /proc/self/mountinfo")
	for i := range 10000 {
		s.Mounts = append(s.Mounts, Mount{Type: "bind", Source: dir, Target: fmt.Sprintf("/m/%d", i), ReadOnly: true})
	}
	if err := s.Run(context.Background()); err == nil && out.String() != "10000\n" {
		t.Errorf("of 10000 mounts there are %s", out)
	} else if err != nil && !errors.Is(err, unix.EMFILE) {
		t.Error(err)
	}
	empty(t, s.StateDir)
	if left, err := os.ReadDir(root); err != nil || slices.ContainsFunc(left, func(e os.DirEntry) bool { return e.Name() == "m" }) {
		t.Errorf("mount points are left in %v: %v", left, err)
	}
}

// libcontainer joins the mount namespace of a sandbox with a thread. That must not be the first one, which stays there, and with it
// what /proc/PID shows of the process: its mounts, and the namespace by which a keeper knows whom to kill.
func TestSandboxesLeaveTheFirstThreadWhereItIs(t *testing.T) {
	const many = 4
	var roots [many]string
	for i := range roots {
		roots[i], _ = busyboxRoot(t)
	}
	before, err := os.Readlink("/proc/self/ns/mnt")
	must(t, err)
	var all sync.WaitGroup
	for _, root := range roots {
		all.Go(func() {
			for range 10 {
				s, out := shell(t, root, "true")
				if err := s.Run(context.Background()); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
				if now, _ := os.Readlink("/proc/self/ns/mnt"); now != before {
					t.Errorf("the first thread is in %s, not in %s", now, before)
					return
				}
			}
		})
	}
	all.Wait()
}
