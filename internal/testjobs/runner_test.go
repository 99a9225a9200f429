// This file owns how runners start the containers of jobs.

package testjobs

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/internal/testimage"
)

// job is a project in a directory, as a runner has it, and the names of the files in terms of this machine.
type job struct {
	*world
	*testing.T
	dir   string // the checkout; beside it are auth and state
	names []string
}

// newJob makes a project with a Dockerfile that has a RUN, and serves it as a repository as well.
func newJob(t *testing.T) *job {
	t.Helper()
	w := newWorld(t)
	at := w.project(t, map[string]string{
		"checkout/Dockerfile": "FROM " + w.base + "\nCOPY file /file\nRUN id -u >/id && chown app /id\n",
		"checkout/file":       "content",
		"auth/config.json":    `{"auths":{"` + w.registry.Host() + `":{"auth":"dTpw"}}}`,
		"empty/.keep":         "",
	})
	for _, line := range []string{"git init -q -b main checkout", "git -C checkout add .", "git -C checkout commit -q -m one", "git clone -q --bare checkout served/team/agent.git"} {
		command(t, at, line)
	}
	handler, err := testimage.GitOverHTTP(filepath.Join(at, "served"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	repository := strings.ReplaceAll(strings.TrimPrefix(t.Name(), "TestJob"), "/", "-")
	return &job{world: w, T: t, dir: filepath.Join(at, "checkout"), names: []string{
		"registry.example/tools/gbuild:debug", w.images["debug"], "registry.example/tools/gbuild", w.images["gbuild"],
		"registry.example/team/agent", w.registry.Host() + "/" + strings.ToLower(repository) + "/agent", "registry.example", w.registry.Host(),
		"https://git.example", server.URL,
	}}
}

// here writes a text in terms of this machine, with what the system puts in for its own expressions.
func (j *job) here(text string, expressions ...string) string {
	return strings.NewReplacer(append(expressions, j.names...)...).Replace(text)
}

func (j *job) hereAll(texts []string, expressions ...string) (out []string) {
	for _, text := range texts {
		out = append(out, j.here(text, expressions...))
	}
	return out
}

// beside is a directory beside the checkout that everybody may write to, as an emptyDir is.
func (j *job) beside(name string) string {
	j.Helper()
	dir := filepath.Join(filepath.Dir(j.dir), name)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		j.Fatal(err)
	}
	if name != "auth" {
		if err := os.Chmod(dir, 0o777); err != nil {
			j.Fatal(err)
		}
	}
	return dir
}

// pod starts a container as a kubelet has it started: with what the runtime gives by default.
func (j *job) pod(c container, volumes []volume, more []string, expressions ...string) string {
	j.Helper()
	options := more
	for _, e := range c.Env {
		options = append(options, "--env", e.Name+"="+j.here(e.Value, expressions...))
	}
	for _, m := range c.VolumeMounts {
		dir := j.beside("volume-" + m.Name)
		for _, v := range volumes {
			if v.Name == m.Name && v.Secret != nil {
				dir = j.beside("auth")
			}
		}
		mount := dir + ":" + m.MountPath
		if m.ReadOnly {
			mount += ":ro"
		}
		options = append(options, "--volume", mount)
	}
	s := c.SecurityContext
	if s.RunAsUser != nil {
		options = append(options, "--user", strconv.Itoa(*s.RunAsUser))
	}
	if s.SeccompProfile.Type == "Unconfined" {
		options = append(options, "--security-opt", "seccomp=unconfined")
	}
	if s.ProcMount == "Unmasked" {
		options = append(options, "--security-opt", "systempaths=unconfined")
	}
	if c.WorkingDir != "" {
		options = append(options, "--workdir", j.here(c.WorkingDir, expressions...))
	}
	args := j.hereAll(c.Args, expressions...)
	if len(c.Command) > 0 {
		options = append(options, "--entrypoint", c.Command[0])
		args = append(c.Command[1:len(c.Command):len(c.Command)], args...)
	}
	return j.docker(j.T, append(append(options, j.here(c.Image)), args...)...)
}

// want checks what the job has pushed under a tag.
func (j *job) want(tag string) {
	j.Helper()
	files := j.pushed(j.T, j.here("registry.example/team/agent:"+tag))
	if files["file"] != "content" || files["id"] != "0\n" {
		j.Errorf("the image has %q", files)
	}
}
