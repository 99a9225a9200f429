// This file owns what a process may try to get at something outside of its sandbox, or to make answers go wrong.

package supervisor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/mark"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/supervisor"
)

// TestPathsStayInside holds that no path leads whoever answers to a file outside of the sandbox: not by dots, by links, by
// what /proc links to, or by a directory that is moved away.
func TestPathsStayInside(t *testing.T) {
	outside := t.TempDir()
	must(t, os.WriteFile(outside+"/victim", nil, 0o644))
	dots := strings.Repeat("../", 40)
	for _, path := range []string{
		outside + "/victim",
		dots[:len(dots)-1] + outside + "/victim",
		"/" + dots + outside[1:] + "/victim",
		"/proc/self/root" + outside + "/victim",
		"/proc/self/cwd/" + dots + outside[1:] + "/victim",
		"../proc/1/root" + outside + "/victim",
		"/tmp/link" + outside + "/victim",
		"/tmp/up" + outside + "/victim",
		"/tmp/cwd/../../../.." + outside + "/victim",
		"/dev/fd/9/" + dots + outside[1:] + "/victim",
	} {
		root, _ := newRoot(t)
		run(t, root, `set +e; ln -s / /tmp/link; ln -s `+dots+` /tmp/up; ln -s /proc/self/cwd /tmp/cwd; mkdir /d; cd /d; exec 9</; p='`+path+`'
			for try in 1 2; do
				chown 7:8 "$p"; chown -h 7:8 "$p"; mknod "$p.made" c 1 3; mkdir "$p.made"; su ann -c "echo x > '$p.made'; ln -s x '$p.made'"
			done 2>/dev/null; true`)
		names, err := os.ReadDir(outside)
		must(t, err)
		if len(names) != 1 {
			t.Errorf("%s: there are %v", path, names)
		}
		if n, _ := unix.Getxattr(outside+"/victim", mark.Owner, make([]byte, 64)); n > 0 {
			t.Errorf("%s: it was given away", path)
		}
	}
}

// TestNoMarkIsForged holds that processes do not see marks, and that only root, who may give files away, sets them.
func TestNoMarkIsForged(t *testing.T) {
	root, upper := newRoot(t)
	script := `import os
open('/tmp/f','w').close(); os.symlink('f','/tmp/l')
os.chown('/tmp/f',7,8); os.chown('/tmp/l',7,8,follow_symlinks=False); os.setxattr('/tmp/f','user.mine',b'x')
print(os.listxattr('/tmp/f'), os.listxattr('/tmp/l',follow_symlinks=False), os.listxattr(os.open('/tmp/f',os.O_RDONLY)))
os.chown('/tmp/f',1000,8)
os.setgid(8); os.setuid(1000)
def refused(f):
    try: f()
    except OSError as e: return e.strerror
print(refused(lambda: os.setxattr('/tmp/f','user.gbuild.owner',b'\1\0\0\0\2\0\0\0')), '|', refused(lambda: os.setxattr(os.open('/tmp/f',os.O_RDONLY),'user.gbuild.node',b'12')), '|', refused(lambda: os.removexattr('/tmp/f','user.gbuild.owner')))
`
	must(t, os.WriteFile(filepath.Join(root, "script.py"), []byte(script), 0o644))
	got := run(t, root, "/usr/bin/python3 /script.py", programs)
	want := "['user.mine'] [] ['user.mine']\nOperation not permitted | Operation not permitted | No data available"
	if got != want {
		t.Errorf("it said\n%s\nand not\n%s", got, want)
	}
	value := make([]byte, 64)
	n, err := unix.Getxattr(upper+"/tmp/f", mark.Owner, value)
	must(t, err)
	if uid, gid, ok := mark.Decode(mark.Owner, value[:n]); uid != 1000 || gid != 8 || !ok {
		t.Errorf("the mark says %d:%d, %v", uid, gid, ok)
	}
}

// TestCallsOfManyProcessesAtOnce holds that each gets its own answer, while others die in the middle of theirs.
func TestCallsOfManyProcessesAtOnce(t *testing.T) {
	root, _ := newRoot(t)
	got := run(t, root, `set +e; cd /tmp; touch killed
		work() { for i in 1 2 3 4 5 6 7 8 9 10; do touch f$1-$i; chown $1:$i f$1-$i; test "$(stat -c %u:%g f$1-$i)" = $1:$i || echo wrong $1 $i; done; }
		for n in 1 2 3 4 5 6 7 8; do work $n & done
		for n in 1 2 3 4 5 6 7 8 9; do (while :; do stat /bin/sh; chown 5 /tmp/killed; done >/dev/null 2>&1) & k="$k $!"; done
		for p in $k; do usleep 20000; kill -9 $p; done
		wait; ls f* | wc -l`)
	if got != "80" {
		t.Error(got)
	}
}

// TestTheEndComes holds that a sandbox ends with its first process and with its context, whatever others wait for.
func TestTheEndComes(t *testing.T) {
	root, _ := newRoot(t)
	run(t, root, "(while :; do stat /; done >/dev/null) & (sleep 1000) & stat / >/dev/null")
	s, _ := sandbox(t, root, "while :; do stat /; done >/dev/null")
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := s.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// TestFurtherProcesses holds that a process that joins a sandbox is its user, and has its calls answered.
func TestFurtherProcesses(t *testing.T) {
	root, _ := newRoot(t)
	command := runtime.ExecOptions{Args: []string{"sh", "-c", "id; touch /tmp/f; stat -c %u:%g /tmp/f; rm /tmp/f"}, UID: 1000, GID: 1001, Groups: []int{2000}}
	got := further(t, root, []runtime.ExecOptions{command, command})
	if want := strings.Repeat("uid=1000(ann) gid=1001(ann) groups=1001(ann),2000(team)\n1000:1001\n", 2); got+"\n" != want {
		t.Errorf("it said\n%s\nand not\n%s", got, want)
	}
}

// TestWhoAnswersDies holds that a sandbox whose calls cannot be answered any more is ended, with the reason.
func TestWhoAnswersDies(t *testing.T) {
	defer supervisor.Break()()
	root, _ := newRoot(t)
	s, out := sandbox(t, root, "chroot / true; sleep 1000")
	if err := s.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "answering system calls of the sandbox: it is broken") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestFilesOfTheHostAreNotGivenAway holds that a mount that is read-only for a process is so for whoever answers it.
func TestFilesOfTheHostAreNotGivenAway(t *testing.T) {
	root, _ := newRoot(t)
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/read-only", nil, 0o644))
	got := run(t, root, "chown 7 /ro/read-only 2>&1 || true; mkdir /ro/d 2>&1 || true; su ann -c 'mkdir /ro/d; touch /ro/f' 2>&1 || true", func(s *runtime.Sandbox) {
		s.Mounts = append(s.Mounts, runtime.Mount{Type: "bind", Source: dir, Target: "/ro", ReadOnly: true})
	})
	want := "chown: /ro/read-only: Read-only file system\nmkdir: can't create directory '/ro/d': Read-only file system\nmkdir: can't create directory '/ro/d': Read-only file system\ntouch: /ro/f: Read-only file system"
	if got != want {
		t.Errorf("it said\n%s\nand not\n%s", got, want)
	}
}
