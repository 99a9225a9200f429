// This file owns the mounts of RUNs in containers that may mount nothing: each kind of them, with a build that is killed while it has them.

package testplaces

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMountsWithoutMounting builds in a container that stays, kills a build and builds again.
func TestMountsWithoutMounting(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"docker-own", "docker-own-overlay", "docker-root", "docker-root-overlay"} {
		t.Run(name, func(t *testing.T) {
			m := placeNamed(t, name).as("mounts-"+name).make(t, w)
			if err := os.CopyFS(filepath.Join(m.dir, "context"), os.DirFS("testdata/mounts")); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(m.dir, "token"), []byte("a-secret-of-builder"), 0o600); err != nil {
				t.Fatal(err)
			}
			m.startAgent(t)
			s := m.stay(t)
			s.builds(t, 1)
			s.builds(t, 2)
			s.kill(t)
			s.builds(t, 4) // the one that was killed had written its line
		})
	}
}

// startAgent starts an ssh agent without keys in the directory of the place.
func (m *made) startAgent(t *testing.T) {
	t.Helper()
	agent := exec.Command("ssh-agent", "-D", "-a", filepath.Join(m.dir, "agent"))
	if err := agent.Start(); err != nil {
		t.Skip("an ssh agent is needed: ", err)
	}
	t.Cleanup(func() {
		_ = agent.Process.Kill()
		_ = agent.Wait()
	})
}

// staying is a container in which several builds are made.
type staying struct {
	*made
	container string
}

// stay starts it, with a sleeping process.
func (m *made) stay(t *testing.T) *staying {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip(err)
	}
	s := &staying{m, fmt.Sprintf("gbuild-places-%d-%s", os.Getpid(), m.name)}
	run := exec.Command("docker", "run", "--detach", "--name", s.container, "--network", "host", "-v", m.dir+":"+m.dir, "-v", m.world.dir+"/gbuild:/usr/bin/gbuild:ro",
		"-v", busybox+":/.gbuild/tools/sleep:ro", "--entrypoint", "/.gbuild/tools/sleep", m.image, "3600")
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatal(said(err, out))
	}
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "--force", s.container).Run() })
	return s
}

// build is a build in the container.
func (s *staying) build() *exec.Cmd {
	argv := append([]string{"exec", s.container, "env", "-i"}, s.environ()...)
	argv = append(argv, "/usr/bin/gbuild")
	argv = append(argv, buildTo(filepath.Join(s.dir, "files.tar"), s.world.base, filepath.Join(s.dir, "context"))...)
	argv = append(argv, "--no-cache", "--secret", "id=token,src=$DIR/token", "--ssh", "default=$DIR/agent")
	for i, word := range argv {
		argv[i] = strings.ReplaceAll(word, "$DIR", s.dir)
	}
	return exec.Command("docker", argv...)
}

// builds builds, and looks at the files and at how many builds the cache knows.
func (s *staying) builds(t *testing.T, lines int) {
	t.Helper()
	out, err := s.build().CombinedOutput()
	if err != nil {
		t.Fatal(said(err, out))
	}
	if !bytes.Contains(out, fmt.Appendf(nil, "lines: %d", lines)) {
		t.Errorf("the cache does not know %d builds:\n%s", lines, out)
	}
	files := readFiles(t, filepath.Join(s.dir, "files.tar"))
	for name, want := range map[string]bool{"srv/copied": true, "srv/cache/of-image": true, "srv/target": true, "srv/cache/lines": false, "srv/cache/tmp": false, "srv/target/token": false,
		"srv/target/inner": false, "run/secrets": false, "ctx": false, "root/agent": false, "again": false, "opt/deep": false} {
		if _, there := files[name]; there != want {
			t.Errorf("%s is in the image: %v", name, there)
		}
	}
}

// kill kills a build in its last RUN, with all that it has started.
func (s *staying) kill(t *testing.T) {
	t.Helper()
	cmd := s.build()
	var said lockedBuffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for deadline := time.Now().Add(timeLimit); !strings.Contains(said.String(), "waiting\n"); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-ended:
			t.Fatalf("the build ended before it could be killed: %v\n%s", err, said.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("the build goes on for ever")
		}
	}
	s.hasNoSecret(t)
	list, err := exec.Command("docker", "top", s.container, "-eo", "pid,args").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		fields := strings.Fields(line)
		if pid, err := strconv.Atoi(fields[0]); err == nil && strings.HasPrefix(strings.Join(fields[1:], " "), "/usr/bin/gbuild build") {
			if process, err := os.FindProcess(pid); err == nil {
				_ = process.Kill()
			}
		}
	}
	if err := <-ended; err == nil {
		t.Fatalf("the build was not killed:\n%s", said.String())
	}
}

// hasNoSecret looks through everything of the container that is on a disk while a RUN has the secret, but for where that was given.
func (s *staying) hasNoSecret(t *testing.T) {
	t.Helper()
	out, err := exec.Command("sh", "-c", `docker export "$0" | grep -c a-secret-of-builder; grep -rl a-secret-of-builder "$1"`, s.container, filepath.Join(s.dir, "area")).CombinedOutput()
	if text := strings.TrimSpace(string(out)); text != "0" {
		t.Errorf("the secret is on a disk: %v %s", err, out)
	}
}

// lockedBuffer is read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
