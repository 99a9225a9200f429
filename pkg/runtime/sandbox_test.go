package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	marks "github.com/gbuild/gbuild/internal/mark"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// busyboxRoot is a root with nothing but busybox and accounts, on an overlay over a read-only lower directory. It also
// gives the upper directory, in which the changes can be seen.
func busyboxRoot(t testing.TB) (root, upper string) {
	t.Helper()
	return overlay(t, busyboxLower(t))
}

func busyboxLower(t testing.TB) (lower string) {
	t.Helper()
	needEntered(t)
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("busybox is not installed")
	}
	applets, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		t.Skip("busybox does not run:", err)
	}
	lower = t.TempDir()
	for _, d := range []string{"bin", "etc", "tmp", "root"} {
		must(t, os.MkdirAll(filepath.Join(lower, d), 0o755))
	}
	b, err := os.ReadFile(busybox)
	must(t, err)
	must(t, os.WriteFile(lower+"/bin/busybox", b, 0o755))
	for name := range strings.FieldsSeq(string(applets)) {
		if name != "busybox" {
			must(t, os.Symlink("busybox", lower+"/bin/"+name))
		}
	}
	must(t, os.WriteFile(lower+"/etc/passwd", []byte("root:x:0:0::/root:/bin/sh\nann:x:1000:1001::/home/ann:/bin/sh\n"), 0o644))
	must(t, os.Chmod(lower+"/tmp", 0o1777))
	old := []unix.Timespec{{Sec: 1e9}, {Sec: 1e9}}
	must(t, filepath.WalkDir(lower, func(p string, d fs.DirEntry, err error) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, p, old, unix.AT_SYMLINK_NOFOLLOW)
	}))
	return lower
}

func overlay(t testing.TB, lower string) (root, upper string) {
	t.Helper()
	base := t.TempDir()
	root, upper = base+"/root", base+"/upper"
	for _, d := range []string{root, upper, base + "/work"} {
		must(t, os.Mkdir(d, 0o755))
	}
	data := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s/work,userxattr", lower, upper, base)
	if err := unix.Mount("overlay", root, "overlay", 0, data); err != nil {
		t.Skip("overlay cannot be mounted:", err)
	}
	t.Cleanup(func() {
		err := unix.Unmount(root, 0)
		for n := 0; err == unix.EBUSY && n < 100; n++ { // the kernel takes a mount namespace apart after its last process
			time.Sleep(20 * time.Millisecond)
			err = unix.Unmount(root, 0)
		}
		if err != nil {
			t.Error("unmounting the root:", err)
		}
	})
	return root, upper
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shell is a sandbox that runs a script without a network.
func shell(t testing.TB, root, script string) (*Sandbox, *bytes.Buffer) {
	out := new(bytes.Buffer)
	return &Sandbox{
		Root: root, StateDir: t.TempDir(), Network: "none", Args: []string{"sh", "-c", script},
		Env: []string{"PATH=/bin"}, Stdout: out, Stderr: out,
	}, out
}

func runShell(t testing.TB, root, script string, change ...func(*Sandbox)) string {
	t.Helper()
	s, out := shell(t, root, script)
	for _, f := range change {
		f(s)
	}
	if err := s.Run(context.Background()); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	empty(t, s.StateDir)
	noMounts(t, root)
	return out.String()
}

// noMounts fails where something is still mounted below root.
func noMounts(t testing.TB, root string) {
	t.Helper()
	if strings.Contains(host.ReadSetting("/proc/self/mountinfo"), root+"/") {
		t.Error("something is still mounted below " + root)
	}
}

func empty(t testing.TB, dir string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil || len(list) > 0 {
		t.Errorf("%s is not empty: %v %v", dir, list, err)
	}
}

// changes lists what the upper directory holds.
func changes(t testing.TB, upper string) string {
	t.Helper()
	var list []string
	must(t, filepath.WalkDir(upper, func(p string, d fs.DirEntry, err error) error {
		if p != upper {
			list = append(list, strings.TrimPrefix(p, upper))
		}
		return err
	}))
	return strings.Join(list, " ")
}

func TestSandboxInside(t *testing.T) {
	root, upper := busyboxRoot(t)
	before, err := os.Stat(root)
	must(t, err)
	script := `
		for ns in mnt pid ipc uts net cgroup user; do readlink /proc/self/ns/$ns; done | cut -d: -f1 | tr '\n' ' '; echo
		echo $$; hostname; pwd; echo $HOME; env | grep -c .; umask; cat; ulimit -c; ulimit -n; ulimit -Hn
		grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/self/status
		ls /dev | tr '\n' ' '; echo
		ls /proc/self/fd | tr '\n' ' '; echo
		ls -A /sys/firmware /proc/acpi 2>/dev/null; wc -c < /proc/keys; wc -c < /proc/timer_list
		touch /proc/sys/kernel/x 2>&1; echo x 2>&1 > /proc/sysrq-trigger
		touch /sys/x /etc/hosts /etc/resolv.conf
		cat /etc/hosts; df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2
		ip -o link | cut -d: -f2 | tr '\n' ' '`
	got := runShell(t, root, script+"\ntrue")
	t.Log(got)
	for _, want := range []string{
		"mnt pid ipc uts net cgroup user \n1\ngbuild\n/\n/root\n", "0022\n0\n1024\n",
		"CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\n",
		"Groups:\t0 \n", "\n0\n0\n",
		"fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero \n0 1 2 3 \n",
		"127.0.0.1\tlocalhost gbuild\n", "\n65536\n", "Read-only file system", " lo ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the output", want)
		}
	}
	// Making and removing a mount point copies the root's own entry up, nothing else; times stay.
	if c := changes(t, upper); c != "" && c != "/etc" {
		t.Errorf("the run left %s in the layer", c)
	}
	after, _ := os.Stat(root)
	if !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("mtime of the root went from %v to %v", before.ModTime(), after.ModTime())
	}
}

func TestSandboxExit(t *testing.T) {
	root, _ := busyboxRoot(t)
	for _, c := range []struct {
		args   []string
		code   int
		signal unix.Signal
	}{
		{[]string{"sh", "-c", "exit 3"}, 3, 0},
		{[]string{"sh", "-c", "exit 255"}, 255, 0},
		{[]string{"sh", "-c", "sh -c 'kill -9 $$'; exit $?"}, 137, 0},
		{[]string{"nothing-of-that-name"}, 127, 0},
		{[]string{"/bin/nothing"}, 127, 0},
		{[]string{"/etc/passwd"}, 126, 0},
	} {
		s, out := shell(t, root, "")
		s.Args = c.args
		err := s.Run(context.Background())
		var exit *ExitError
		if !errors.As(err, &exit) || exit.Code != c.code || exit.Signal != c.signal {
			t.Errorf("%q: %v (%#v) %s", c.args, err, exit, out)
		}
		empty(t, s.StateDir)
	}
}

// TestSandboxFarDown has a state directory whose path is longer than that of a socket may be.
func TestSandboxFarDown(t *testing.T) {
	root, _ := busyboxRoot(t)
	s, out := shell(t, root, "echo ran")
	s.StateDir = filepath.Join(s.StateDir, strings.Repeat("d", 120))
	must(t, os.Mkdir(s.StateDir, 0o700))
	if err := s.Run(context.Background()); err != nil || out.String() != "ran\n" {
		t.Errorf("%v: %s", err, out)
	}
}

func TestSandboxUser(t *testing.T) {
	root, upper := busyboxRoot(t)
	got := runShell(t, root, `id -u; id -g; grep -E 'CapEff|CapPrm|Groups' /proc/self/status; pwd; touch f; echo $HOME; echo hi >/dev/stdout`, func(s *Sandbox) {
		s.UID, s.GID, s.Groups, s.Dir = 1000, 1001, []int{1002}, "/home/ann/work"
	})
	want := "1000\n1001\nGroups:\t1001 1002 \nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n/home/ann/work\n/home/ann\nhi\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, p := range []string{"/home", "/home/ann/work", "/home/ann/work/f"} {
		var st unix.Stat_t
		if err := unix.Lstat(upper+p, &st); err != nil || st.Uid != 1000 || st.Gid != 1001 {
			t.Errorf("%s: owner %d:%d, %v", p, st.Uid, st.Gid, err)
		}
	}
}

func TestSandboxMounts(t *testing.T) {
	root, upper := busyboxRoot(t)
	host := t.TempDir()
	must(t, os.Mkdir(host+"/cache", 0o755))
	must(t, os.WriteFile(host+"/secret", []byte("s3cret"), 0o600))
	must(t, os.Symlink("/cache-here", root+"/link"))
	mode := uint32(0o700)
	got := runShell(t, root, `echo kept > /a/b/cache/f; cat /run/secrets/s; touch /run/secrets/s; echo x > /cache-here/g; stat -c '%a %u' /mode /free
		df -k /mode | tail -1 | tr -s ' ' | cut -d' ' -f2; touch /ro/x; ls /a/b/cache/inner; true`, func(s *Sandbox) {
		s.Mounts = []Mount{
			{Type: "tmpfs", Target: "/a/b/cache/inner"},
			{Type: "bind", Source: host + "/cache", Target: "/a/b/cache"},
			{Type: "bind", Source: host + "/cache", Target: "/ro", ReadOnly: true},
			{Type: "bind", Source: host + "/cache", Target: "link"[:0] + "/link"},
			{Type: "bind", Source: host + "/secret", Target: "/run/secrets/s", ReadOnly: true},
			{Type: "tmpfs", Target: "/mode", Mode: &mode, UID: 5, Size: 1 << 20},
			{Type: "tmpfs", Target: "/free"},
		}
	})
	for _, want := range []string{"s3cret", "700 5\n1777 0\n1024\n", "touch: /ro/x: Read-only file system", "/run/secrets/s: Read-only"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	for _, f := range []string{"/cache/f", "/cache/g"} {
		if _, err := os.Stat(host + f); err != nil {
			t.Error(err)
		}
	}
	if c := changes(t, upper); c != "/etc /link" {
		t.Errorf("the mount points are left: %s", c)
	}
}

func TestSandboxStubsThatWereUsedStay(t *testing.T) {
	root, upper := busyboxRoot(t)
	canary := t.TempDir()
	must(t, os.MkdirAll(canary+"/b/c", 0o755))
	runShell(t, root, `mv /a /z && ln -s `+canary+` /a && rm -r /etc && mkdir /etc && echo mine > /etc/resolv.conf; touch /q/w; true`, func(s *Sandbox) {
		s.Mounts = []Mount{{Type: "tmpfs", Target: "/a/b/c"}, {Type: "tmpfs", Target: "/q/w/e"}}
	})
	if _, err := os.Stat(canary + "/b/c"); err != nil {
		t.Error("a directory outside of the root was removed:", err)
	}
	if c := changes(t, upper); !strings.Contains(c, "/a") || !strings.Contains(c, "/z") {
		t.Error(c)
	}
}

func TestSandboxImageLinks(t *testing.T) {
	outside := t.TempDir()
	for _, c := range []struct {
		name, link, to string
		refused        bool
	}{
		{"resolv.conf of systemd", "/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf", false},
		{"resolv.conf absolute", "/etc/resolv.conf", outside + "/resolv", false},
		{"hosts upwards", "/etc/hosts", "../../../../../../.." + outside + "/hosts", false},
		{"resolv.conf loop", "/etc/resolv.conf", "resolv.conf", true},
		{"resolv.conf in dev", "/etc/resolv.conf", "/dev/x", false},
		{"proc", "/proc", outside, true},
		{"sys", "/sys", "etc", true},
		{"dev", "/dev", outside, true},
		{"dev is root", "/dev", "/", true},
		{"hosts into proc", "/etc/hosts", "/proc/sys/kernel/core_pattern", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, upper := busyboxRoot(t)
			must(t, os.Symlink(c.to, root+c.link))
			s, out := shell(t, root, "cat /etc/resolv.conf /etc/hosts")
			err := s.Run(context.Background())
			if refused := err != nil; refused != c.refused {
				t.Errorf("%v\n%s", err, out)
			}
			// Directories in which there was a mount point for a while are copied up, unchanged.
			if got := strings.TrimSuffix(changes(t, upper), " /tmp"); got != "/etc "+c.link && got != c.link {
				t.Errorf("left: %s", got)
			}
			empty(t, outside)
			empty(t, s.StateDir)
			noMounts(t, root)
		})
	}
}

func TestSandboxCancel(t *testing.T) {
	root, _ := busyboxRoot(t)
	for name, script := range map[string]string{"ends by itself": `trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.05; done`, "has to be killed": `trap '' TERM; echo up; sleep 100`} {
		s, out := shell(t, root, script)
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(300*time.Millisecond, cancel)
		start := time.Now()
		if err := s.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
		if strings.Contains(script, "bye") != strings.Contains(out.String(), "bye") {
			t.Errorf("%s: %q", name, out)
		}
	}
}

func TestSandboxLeavesNoProcess(t *testing.T) {
	root, _ := busyboxRoot(t)
	mark := fmt.Sprint("7", os.Getpid(), "7")
	runShell(t, root, `(setsid sleep `+mark+` &) ; (sleep `+mark+` </dev/null >/dev/null 2>&1 &); sleep 0.1`)
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range list {
		if b, _ := os.ReadFile(f); bytes.Contains(b, []byte("sleep\x00"+mark)) {
			t.Error("left:", f)
		}
	}
}

// SEC-27: with cgroup version 2 the sandbox sees its own cgroup, read-only.
func TestSandboxCgroup2(t *testing.T) {
	const unified = "/sys/fs/cgroup/unified"
	if _, err := os.Stat(unified + "/cgroup.procs"); err != nil {
		t.Skip("no hybrid cgroups here, to make version 2 from")
	}
	root, _ := busyboxRoot(t)
	script := "cat /proc/self/cgroup; mount | grep cgroup; echo 1 > /sys/fs/cgroup/cgroup.procs; mkdir /sys/fs/cgroup/x; ls /sys/fs/cgroup | grep -c cgroup.procs"
	cmd := helper(t, "enter", "ROOT="+root, "STATE="+t.TempDir(), "SANDBOX="+script,
		"SCRIPT=mount --bind "+unified+" /sys/fs/cgroup && GBUILD_TEST_HELPER=runner SCRIPT=\"$SANDBOX\" exec /proc/$PPID/exe")
	out, err := cmd.CombinedOutput()
	t.Log(string(out))
	for _, want := range []string{"0::/\n", "type cgroup2 (ro,", "can't create /sys/fs/cgroup/cgroup.procs: Read-only", "'/sys/fs/cgroup/x': Read-only"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in the output (%v)", want, err)
		}
	}
	if left, _ := filepath.Glob(unified + "/gbuild-*"); len(left) > 0 {
		t.Error("cgroups are left:", left)
	}
}

func TestSandboxLimits(t *testing.T) {
	root, _ := busyboxRoot(t)
	got := runShell(t, root, "ulimit -n; ulimit -Hn; df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2; touch /x; grep CapBnd /proc/self/status", func(s *Sandbox) {
		s.Ulimits, s.ShmSize, s.ReadOnlyRoot, s.CapDrop, s.CapAdd = []string{"nofile=100:200"}, 1<<20, true, []string{"all"}, []string{"chown"}
	})
	if want := "100\n200\n1024\ntouch: /x: Read-only file system\nCapBnd:\t0000000000000001\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSandboxStdin(t *testing.T) {
	root, _ := busyboxRoot(t)
	r, w := io.Pipe() // a reader that never ends must not keep Run
	defer w.Close()
	go func() { _, _ = w.Write([]byte("one line\n")) }()
	if got := runShell(t, root, "read x; echo $x", func(s *Sandbox) { s.Stdin = r }); got != "one line\n" {
		t.Errorf("%q", got)
	}
}

// A RUN makes devices, as with docker build: each is an empty file with a mark, which a layer has as the device.
func TestDevicesAreMade(t *testing.T) {
	root, upper := busyboxRoot(t)
	runShell(t, root, "mkdir /d; mknod -m 640 /d/null c 1 3; cd /d; mknod disk b 8 1; mkfifo p; mknod q p; rm -f /d/p")
	for name, want := range map[string]marks.Device{"null": {Type: unix.S_IFCHR, Major: 1, Minor: 3}, "disk": {Type: unix.S_IFBLK, Major: 8, Minor: 1}} {
		value := make([]byte, 64)
		n, err := unix.Getxattr(upper+"/d/"+name, marks.Node, value)
		must(t, err)
		if got, ok := marks.DecodeDevice(value[:n]); got != want || !ok {
			t.Errorf("%s is %+v, want %+v", name, got, want)
		}
	}
	if st, err := os.Lstat(upper + "/d/null"); err != nil || st.Mode() != 0o640 {
		t.Errorf("null has mode %v, %v", st.Mode(), err)
	}
	runShell(t, root, "! mknod /d/x c 1 3; test ! -e /d/x", func(s *Sandbox) { s.UID, s.GID = 1000, 1000 })
	runShell(t, root, "! mknod /d/x c 1 3; test ! -e /d/x", func(s *Sandbox) { s.CapDrop = []string{"MKNOD"} })
	runShell(t, root, "! mknod /d/null c 1 3; ! mknod /none/x c 1 3; mknod /d/y c 1 5", func(s *Sandbox) { s.Seccomp = "unconfined" })
}
