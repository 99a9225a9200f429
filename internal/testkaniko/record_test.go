// This file owns kaniko's own executor: it is started as CI does, and what it comes to is written down.

package testkaniko

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"
)

// TestRecord writes recorded.json anew: GBUILD_KANIKO names an executor, and GBUILD_KANIKO_VERSION says which it is. It needs Docker, and
// each line gets a container with Docker's default rights, but with the host's network.
func TestRecord(t *testing.T) {
	executor := os.Getenv("GBUILD_KANIKO")
	if executor == "" {
		t.Skip("GBUILD_KANIKO does not name kaniko's executor")
	}
	tag := containerImage(t, executor)
	var known recorded
	readJSON(t, "recorded.json", &known)
	if known.Lines == nil {
		known.Lines = map[string]outcome{}
	}
	known.Version, known.Date = os.Getenv("GBUILD_KANIKO_VERSION"), time.Now().UTC().Format(time.DateOnly)
	help, err := exec.Command(executor, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	known.Flags = nil
	for _, match := range regexp.MustCompile(`(?m)^ .*?--([a-zA-Z-]+)`).FindAllSubmatch(help, -1) {
		if flag := string(match[1]); flag != "help" {
			known.Flags = append(known.Flags, flag)
		}
	}
	for _, l := range readLines(t) {
		t.Run(l.Name, func(t *testing.T) {
			delete(known.Lines, l.Name)
			if l.Skip != "" {
				t.Skip(l.Skip)
			}
			known.Lines[l.Name] = settle(t, l, func(w *world, args []string, env map[string]string) *exec.Cmd {
				return inContainer(w, l, tag, args, env)
			})
		})
	}
	data, err := json.MarshalIndent(known, "", " ")
	if err == nil {
		err = os.WriteFile(filepath.Join(tableDir, "recorded.json"), append(data, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// containerImage makes an image as kaniko's debug image is: the executor, and busybox beside it.
func containerImage(t *testing.T, executor string) string {
	t.Helper()
	dir, tag := t.TempDir(), fmt.Sprintf("gbuild-kaniko:%d", os.Getpid())
	const dockerfile = `FROM scratch
COPY kaniko /kaniko
COPY busybox /busybox/busybox
RUN ["/busybox/busybox", "--install", "/busybox"]
ENV HOME=/root USER=root PATH=/usr/local/bin:/kaniko:/busybox SSL_CERT_DIR=/kaniko/ssl/certs DOCKER_CONFIG=/kaniko/.docker/
VOLUME /busybox
WORKDIR /workspace
ENTRYPOINT ["/kaniko/executor"]
`
	script := `set -e; mkdir -p "$1/kaniko/ssl/certs" "$1/kaniko/.docker"; cp "$2" "$1/kaniko/executor"; cp "$(command -v busybox)" "$1/busybox"; docker build -q -t "$3" "$1"`
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", "-c", script, "sh", dir, executor, tag).CombinedOutput(); err != nil {
		t.Fatalf("an image with the executor: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "--force", tag).Run() })
	return tag
}

// inContainer is a line in a container. The world's directories have the same names in it, the context is the workspace, too, and
// credentials are where kaniko looks for them.
func inContainer(w *world, l line, tag string, args []string, env map[string]string) *exec.Cmd {
	run := []string{"run", "--rm", "--interactive", "--network", "host", "--name", "gbuild-kaniko-" + filepath.Base(w.dir), "--workdir", workdir(w, l, "/workspace"),
		"-v", w.names["PROJECT"] + ":/workspace", "-v", w.at("login/config.json") + ":/kaniko/.docker/config.json"}
	for _, name := range []string{"project", "out", "certs", "tarball"} {
		run = append(run, "-v", w.at(name)+":"+w.at(name))
	}
	for name, value := range env {
		run = append(run, "-e", name+"="+value)
	}
	return exec.Command("docker", slices.Concat(run, []string{tag}, args)...)
}
