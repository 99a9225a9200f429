// This file owns a sandbox with one user, in which scripts find out what a process sees.

package supervisor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// TestMain runs the tests in a user namespace with one id, whoever starts them.
func TestMain(m *testing.M) {
	runtime.Init()
	if host.Entered() {
		os.Exit(m.Run())
	}
	code, err := host.Enter(context.Background(), host.EnterOptions{Isolation: host.RootlessSingle})
	if err != nil {
		fmt.Fprintln(os.Stderr, "running without namespaces:", err)
		code = m.Run()
	}
	os.Exit(code)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newRoot is a root with busybox, and the directory that has what is changed in it.
func newRoot(t testing.TB) (root, upper string) {
	t.Helper()
	if !host.Entered() {
		t.Skip("needs user namespaces")
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("busybox is not installed")
	}
	dir := t.TempDir()
	lower, upper := dir+"/lower", dir+"/upper"
	root = dir + "/root"
	for _, d := range []string{root, upper, dir + "/work", lower + "/bin", lower + "/etc", lower + "/tmp"} {
		must(t, os.MkdirAll(d, 0o755))
	}
	b, err := os.ReadFile(busybox)
	must(t, err)
	must(t, os.WriteFile(lower+"/bin/busybox", b, 0o755))
	applets, err := exec.Command(busybox, "--list").Output()
	must(t, err)
	for name := range strings.FieldsSeq(string(applets)) {
		if name != "busybox" {
			must(t, os.Symlink("busybox", lower+"/bin/"+name))
		}
	}
	must(t, os.WriteFile(lower+"/etc/passwd", []byte("root:x:0:0::/root:/bin/sh\nann:x:1000:1001::/:/bin/sh\n"), 0o644))
	must(t, os.WriteFile(lower+"/etc/group", []byte("root:x:0:\nann:x:1001:\nteam:x:2000:ann\n"), 0o644))
	must(t, os.Chmod(lower+"/tmp", 0o1777))
	data := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s/work,userxattr", lower, upper, dir)
	if err := unix.Mount("overlay", root, "overlay", 0, data); err != nil {
		t.Skip("overlay cannot be mounted:", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	return root, upper
}

// sandbox is one that runs a script.
func sandbox(t testing.TB, root, script string, change ...func(*runtime.Sandbox)) (*runtime.Sandbox, *bytes.Buffer) {
	out := new(bytes.Buffer)
	s := &runtime.Sandbox{
		Root: root, StateDir: t.TempDir(), Network: "none", Args: []string{"sh", "-ec", script},
		Env: []string{"PATH=/bin"}, Stdout: out, Stderr: out,
	}
	for _, f := range change {
		f(s)
	}
	return s, out
}

// run gives what a script prints.
func run(t testing.TB, root, script string, change ...func(*runtime.Sandbox)) string {
	t.Helper()
	s, out := sandbox(t, root, script, change...)
	if err := s.Run(context.Background()); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(out.String())
}

// further gives what further processes print that join the sandbox one after the other.
func further(t testing.TB, root string, each []runtime.ExecOptions, change ...func(*runtime.Sandbox)) string {
	t.Helper()
	s, out := sandbox(t, root, "sleep 1000", change...)
	printed, err := os.Create(t.TempDir() + "/printed")
	must(t, err)
	defer printed.Close()
	none, err := os.Open(os.DevNull)
	must(t, err)
	defer none.Close()
	var failed error
	s.Started = func(p *runtime.Process) {
		go func() {
			for _, o := range each {
				o.Stdin, o.Stdout, o.Stderr = none, printed, printed
				failed = errors.Join(failed, p.Exec(context.Background(), o))
			}
			_ = p.Signal(unix.SIGKILL)
		}()
	}
	if err := s.Run(context.Background()); err == nil {
		t.Error("it was not ended", out)
	}
	b, err := os.ReadFile(printed.Name())
	must(t, err)
	if failed != nil {
		t.Fatalf("%v\n%s", failed, b)
	}
	return strings.TrimSpace(string(b))
}

// ann runs the command as a user of the image.
func ann(s *runtime.Sandbox) { s.UID, s.GID, s.Groups = 1000, 1001, []int{1001, 2000} }

// deepState lets the sandbox have its state where no socket could be bound by its path.
func deepState(s *runtime.Sandbox) {
	s.StateDir = filepath.Join(s.StateDir, strings.Repeat("deep/", 30))
	_ = os.MkdirAll(s.StateDir, 0o755)
}

// programs gives a sandbox those of this machine.
func programs(s *runtime.Sandbox) {
	s.Mounts = append(s.Mounts, runtime.Mount{Type: "bind", Source: "/usr", Target: "/usr", ReadOnly: true})
	for _, dir := range []string{"lib", "lib64"} {
		if target, err := os.Readlink("/" + dir); err == nil {
			_ = os.Symlink(target, filepath.Join(s.Root, dir))
		}
	}
}

// TestScripts holds what processes see and leave behind.
func TestScripts(t *testing.T) {
	for _, test := range []struct {
		name, script, want string
		change             []func(*runtime.Sandbox)
	}{
		{"root", "id -u; id -g", "0\n0", nil},
		{"user of the step", "id; cat /proc/self/limits | grep -c locks", "uid=1000(ann) gid=1001(ann) groups=1001(ann),2000(team)\n1", []func(*runtime.Sandbox){ann}},
		{"groups are sorted", "id", "uid=1000(ann) gid=1001(ann) groups=7,20,1001(ann)", []func(*runtime.Sandbox){ann, func(s *runtime.Sandbox) { s.Groups = []int{1001, 20, 7} }}},
		{"state with a long path", "touch /tmp/f; chown 7 /tmp/f; stat -c %u /tmp/f", "7", []func(*runtime.Sandbox){deepState}},
		{"files are given away", "cd /tmp; touch f; mkdir d; ln -s f l; mkfifo p; ln f h; chown 7:8 f d; chown -h 9:10 l; chown 11 p; chgrp 12 d; stat -c '%n %u:%g %F' f d l p h",
			"f 7:8 regular empty file\nd 7:12 directory\nl 9:10 symbolic link\np 11:0 fifo\nh 7:8 regular empty file", nil},
		{"and back", "cd /tmp; touch f; ln -s f l; chown 7:8 f; chown -h 7:8 l; chown 0:0 f; chown -h 0:0 l; stat -c '%u:%g' f l", "0:0\n0:0", nil},
		{"renamed", "cd /tmp; mkdir d; ln -s x l; touch f; chown 5:6 f d; chown -h 5:6 l; mv f g; mv d e; mv l m; stat -c '%u:%g' g e m", "5:6\n5:6\n5:6", nil},
		{"a user's new files", "cd /tmp; touch f; mkdir d; ln -s x l; mkfifo p; umask 077; echo x > s; stat -c '%n %u:%g %a' f d l p s",
			"f 1000:1001 644\nd 1000:1001 755\nl 1000:1001 777\np 1000:1001 644\ns 1000:1001 600", []func(*runtime.Sandbox){ann}},
		{"setgid directory", "cd /tmp; mkdir d; chown 0:50 d; chmod 2775 d; touch d/f; mkdir d/e; ln -s x d/l; stat -c '%n %u:%g %a' d/f d/e d/l; echo x > d/e/y; stat -c '%u:%g' d/e/y",
			"d/f 0:50 644\nd/e 0:50 2755\nd/l 0:50 777\n0:50", nil},
		{"a user gives nothing away", "cd /tmp; touch f; chown 0 f 2>&1 || chgrp 2000 f; stat -c '%u:%g' f; chgrp 5 f 2>&1 || true",
			"chown: f: Operation not permitted\n1000:2000\nchgrp: f: Operation not permitted", []func(*runtime.Sandbox){ann}},
		{"becoming somebody", "su ann -c 'id -u; id -G; touch /tmp/f; stat -c %u:%g /tmp/f; start-stop-daemon -S -c 0 -x /bin/true 2>&1 || true'", "1000\n1001 2000\n1000:1001\nstart-stop-daemon: can't set groups: Operation not permitted", nil},
		{"setuid program", "cp /usr/bin/id /tmp/id; chown 7:8 /tmp/id; chmod 6755 /tmp/id; su ann -c /tmp/id", "uid=1000(ann) gid=1001(ann) euid=7 egid=8 groups=8,1001(ann),2000(team)", []func(*runtime.Sandbox){programs}},
		{"a change of the owner drops the bit", "cp /bin/busybox /tmp/id; chmod 4755 /tmp/id; chown 7 /tmp/id; stat -c %a /tmp/id", "755", nil},
		{"device", "mknod -m 640 /tmp/null c 1 3; chown 0:6 /tmp/null; stat -c '%F %t,%T %a %u:%g' /tmp/null; mknod /tmp/b b 8 1; stat -c '%F %t,%T' /tmp/b",
			"character special file 1,3 640 0:6\nblock special file 8,1", nil},
		{"no device for a user", "mknod /tmp/null c 1 3 2>&1 || true", "mknod: /tmp/null: Operation not permitted", []func(*runtime.Sandbox){ann}},
		{"a whiteout is none", "mknod /tmp/null c 0 0 2>&1 || true", "mknod: /tmp/null: Operation not permitted", nil},
		{"standard output", "chown 7 /dev/stdout /proc/self/fd/1; ls -l /proc/self/fd/1 >/dev/null; echo ok", "ok", nil},
		{"descriptors", "cd /tmp; touch f; chown 7 f; exec 3<f; stat -L -c %u /dev/fd/3 /proc/self/fd/3; chown 8 /proc/self/fd/3; stat -c %u f", "7\n7\n8", nil},
		{"missing", "chown 7 /nowhere 2>&1 || true; chown 7 /bin/busybox/x 2>&1 || true", "chown: /nowhere: No such file or directory\nchown: /bin/busybox/x: Not a directory", nil},
		{"chroot", "mkdir -p /tmp/r/bin /tmp/r/etc; cp /bin/busybox /tmp/r/bin/sh; cp /bin/busybox /tmp/r/bin/chown; echo a > /tmp/r/f; echo b > /f; ln -s /f /tmp/r/l; chroot /tmp/r /bin/sh -c 'chown 7 /l'; stat -c '%n %u' /f /tmp/r/f",
			"/f 0\n/tmp/r/f 7", nil},
		{"unconfined", "touch /tmp/f; chown 7:8 /tmp/f; stat -c %u:%g /tmp/f; su ann -c 'id -u'", "7:8\n1000", []func(*runtime.Sandbox){func(s *runtime.Sandbox) { s.Seccomp = "unconfined" }}},
		{"insecure", "touch /tmp/f; chown 7:8 /tmp/f; stat -c %u:%g /tmp/f; su ann -c 'id -u'", "7:8\n1000", []func(*runtime.Sandbox){func(s *runtime.Sandbox) { s.Insecure = true }}},
		{"without answers", "touch /tmp/f; chown 7:8 /tmp/f; stat -c %u:%g /tmp/f; su ann -c 'id -u'; mknod /tmp/n c 1 3; ls /tmp", "0:0\n0\nf", []func(*runtime.Sandbox){ann, func(s *runtime.Sandbox) { s.Isolation = host.Fake }}},
		{"no new privileges", "cp /usr/bin/id /tmp/id; chown 7:8 /tmp/id; chmod 6755 /tmp/id; su ann -c /tmp/id; stat -c %u /tmp/id", "uid=1000(ann) gid=1001(ann) groups=1001(ann),2000(team)\n7", []func(*runtime.Sandbox){programs, func(s *runtime.Sandbox) { s.NoNewPrivileges = true }}},
	} {
		t.Run(test.name, func(t *testing.T) {
			root, _ := newRoot(t)
			if got := run(t, root, test.script, test.change...); got != test.want {
				t.Errorf("it said:\n%s\nand not:\n%s", got, test.want)
			}
		})
	}
}

// TestNothingIsLeftOpen holds that a run leaves no descriptor and no thread that answers.
func TestNothingIsLeftOpen(t *testing.T) {
	root, _ := newRoot(t)
	run(t, root, "touch /tmp/a; chown 1 /tmp/a")
	before := descriptors(t)
	for range 3 {
		run(t, root, "touch /tmp/a; chown 1 /tmp/a; stat /tmp/a >/dev/null")
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := filepath.Glob("/proc/self/fd/*")
	must(t, err)
	return len(all)
}
