// This file owns the jobs of each system: how its runner starts what the file in examples/ci says.

package testjobs

import (
	"bytes"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestJobGitLab: the runner starts a shell that it finds in the image, with its script on standard input, and the checkout is a volume.
// The kubernetes executor does the same without standard input: it has the script in a file.
func TestJobGitLab(t *testing.T) {
	build := read[gitlabJobs](t, "gitlab-ci.yml")["build"]
	if !slices.Equal(build.Image.Entrypoint, []string{""}) {
		t.Error("the runner's shell would be an argument of the image's entry point")
	}
	// As the runner looks for a shell.
	const detect = `if [ -x /usr/local/bin/bash ]; then exec /usr/local/bin/bash; elif [ -x /bin/bash ]; then exec /bin/bash; ` +
		`elif [ -x /bin/sh ]; then exec /bin/sh; elif [ -x /busybox/sh ]; then exec /busybox/sh; else echo shell not found; exit 1; fi`
	for _, executor := range []string{"docker", "kubernetes"} {
		t.Run(executor, func(t *testing.T) {
			j := newJob(t)
			script := "set -eo pipefail\ncd /builds/team/agent\nexport CI_PROJECT_DIR=/builds/team/agent CI_COMMIT_SHA=c0ffee CI_REGISTRY_USER=u CI_REGISTRY_PASSWORD=p\n" +
				"export CI_REGISTRY=" + j.registry.Host() + " CI_REGISTRY_IMAGE=" + j.here("registry.example/team/agent") + "\n"
			for name, value := range build.Variables {
				script += "export " + name + "=\"" + value + "\"\n"
			}
			script += strings.Join(slices.Concat(build.BeforeScript, build.Script), "\n") + "\n"
			options := []string{"--interactive", "--volume", j.dir + ":/builds/team/agent", "--entrypoint", ""}
			image := j.here(build.Image.Name)
			if executor == "docker" {
				cmd := exec.Command("docker", slices.Concat([]string{"run", "--rm", "--network", "host"}, options, []string{image, "sh", "-c", detect})...)
				cmd.Stdin = strings.NewReader(script)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			} else {
				writeFiles(t, j.beside("scripts"), map[string]string{"script": script})
				j.docker(t, append(options, "--volume", j.beside("scripts")+":/scripts-1-1", image, "sh", "-c", "("+detect[:len(detect)-len("else echo shell not found; exit 1; fi")]+"fi) </scripts-1-1/script")...)
			}
			j.want("c0ffee")
			for _, path := range build.Artifacts.Paths {
				if text, err := os.ReadFile(filepath.Join(j.dir, path)); err != nil || !bytes.Contains(text, []byte("sha256:")) {
					t.Errorf("%s: %v %s", path, err, text)
				}
			}
		})
	}
}

func TestJobKubernetes(t *testing.T) {
	for _, name := range []string{"kubernetes-job.yaml", "kubernetes-userns.yaml"} {
		t.Run(name, func(t *testing.T) {
			m := read[kubernetesJob](t, name)
			m.is(t, "batch/v1", "Job")
			pod := m.Spec.Template.Spec
			if !slices.Contains([]string{"Never", "OnFailure"}, pod.RestartPolicy) {
				t.Errorf("restartPolicy %q of a Job", pod.RestartPolicy)
			}
			pod.check(t)
			j := newJob(t)
			j.pod(pod.Containers[0], pod.Volumes, nil)
			j.want("v1")
		})
	}
}

// TestJobTekton: a script is a file in a volume, which is the command; results are files, too.
func TestJobTekton(t *testing.T) {
	m := read[tektonTask](t, "tekton-task.yaml")
	m.is(t, "tekton.dev/v1", "Task")
	j := newJob(t)
	image := j.here("registry.example/team/agent:v1")
	step := m.Spec.Steps[0]
	results := j.beside("results")
	expressions := []string{"$(params.IMAGE)", image, "$(params.DOCKERFILE)", "./Dockerfile", "$(params.CONTEXT)", ".",
		"$(workspaces.source.path)", "/workspace/source", "$(workspaces.dockerconfig.path)", "/workspace/dockerconfig",
		"$(results.IMAGE_DIGEST.path)", "/tekton/results/IMAGE_DIGEST", "$(results.IMAGE_URL.path)", "/tekton/results/IMAGE_URL"}
	if !slices.Equal(step.Args, []string{"$(params.EXTRA_ARGS[*])"}) {
		t.Errorf("the arguments are %q", step.Args)
	}
	step.Args = []string{"--label", "made.by=tekton"}
	script := filepath.Join(j.beside("scripts"), "script-0")
	if err := os.WriteFile(script, []byte(j.here(step.Script, expressions...)), 0o755); err != nil {
		t.Fatal(err)
	}
	step.Command = []string{"/tekton/scripts/script-0"}
	j.pod(step, nil, []string{"--volume", j.dir + ":/workspace/source", "--volume", j.beside("auth") + ":/workspace/dockerconfig:ro",
		"--volume", filepath.Dir(script) + ":/tekton/scripts:ro", "--volume", results + ":/tekton/results"}, expressions...)
	j.want("v1")
	for name, want := range map[string]string{"IMAGE_DIGEST": `^sha256:[0-9a-f]{64}$`, "IMAGE_URL": "^" + regexp.QuoteMeta(image) + "$"} {
		if text, err := os.ReadFile(filepath.Join(results, name)); err != nil || !regexp.MustCompile(want).Match(text) {
			t.Errorf("result %s: %v %q", name, err, text)
		}
	}
}

func TestJobShipwright(t *testing.T) {
	m := read[shipwrightStrategy](t, "shipwright-strategy.yaml")
	m.is(t, "shipwright.io/v1beta1", "ClusterBuildStrategy")
	j := newJob(t)
	results := j.beside("results")
	j.pod(m.Spec.Steps[0], nil, []string{"--volume", j.dir + ":/workspace/source", "--volume", j.beside("auth") + ":/tekton/home/.docker:ro", "--volume", results + ":/tekton/results"},
		"$(params.shp-source-root)", "/workspace/source", "$(params.shp-source-context)", "/workspace/source", "$(params.dockerfile)", m.Spec.Parameters[0].Default,
		"$(params.shp-output-image)", j.here("registry.example/team/agent:v1"), "$(results.shp-image-digest.path)", "/tekton/results/shp-image-digest")
	j.want("v1")
	if text, err := os.ReadFile(filepath.Join(results, "shp-image-digest")); err != nil || !bytes.HasPrefix(text, []byte("sha256:")) {
		t.Errorf("%v %q", err, text)
	}
}

func TestJobArgo(t *testing.T) {
	m := read[argoTemplate](t, "argo-template.yaml")
	m.is(t, "argoproj.io/v1alpha1", "WorkflowTemplate")
	template := m.Spec.Templates[0]
	if m.Spec.Entrypoint != template.Name {
		t.Errorf("there is no template %s", m.Spec.Entrypoint)
	}
	j := newJob(t)
	var expressions []string
	for i, p := range m.Spec.Arguments.Parameters {
		if template.Inputs.Parameters[i].Name != p.Name {
			t.Errorf("the template has no %s", p.Name)
		}
		expressions = append(expressions, "{{inputs.parameters."+p.Name+"}}", j.here(p.Value))
	}
	j.pod(template.Container, template.Volumes, []string{"--volume", j.beside("outputs") + ":" + filepath.Dir(template.Outputs.Parameters[0].ValueFrom.Path)}, expressions...)
	j.want("v1")
	if text, err := os.ReadFile(filepath.Join(j.beside("outputs"), "digest")); err != nil || !bytes.HasPrefix(text, []byte("sha256:")) {
		t.Errorf("%v %q", err, text)
	}
}

// TestJobJenkins: the pod waits, and the agent starts the shell that the step names, once for each sh.
func TestJobJenkins(t *testing.T) {
	m := read[jenkinsPod](t, "jenkins-pod.yaml")
	m.is(t, "v1", "Pod")
	m.Spec.check(t)
	text, err := os.ReadFile("../../examples/ci/Jenkinsfile")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(text, []byte("{")) != bytes.Count(text, []byte("}")) {
		t.Error("the braces of the Jenkinsfile are not balanced")
	}
	step := regexp.MustCompile(`(?s)container\(name: '(\w+)', shell: '([^']+)'\) \{\s+sh '([^'\n]+)'`).FindSubmatch(text)
	c := m.Spec.Containers[0]
	if step == nil || string(step[1]) != c.Name || !bytes.Contains(text, []byte("yamlFile 'examples/ci/jenkins-pod.yaml'")) {
		t.Fatalf("no step in the container of the pod:\n%s", text)
	}
	j := newJob(t)
	name := "gbuild-jobs-jenkins-" + filepath.Base(filepath.Dir(j.dir))
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "--force", name).Run() })
	j.pod(c, m.Spec.Volumes, []string{"--detach", "--interactive", "--tty", "--name", name, "--volume", j.dir + ":/home/jenkins/agent/workspace/agent"})
	for _, number := range []string{"1", "2"} { // a second build in the same container
		cmd := exec.Command("docker", "exec", "--workdir", "/home/jenkins/agent/workspace/agent", "--env", "BUILD_NUMBER="+number, name, string(step[2]), "-c", j.here(string(step[3])))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", number, err, out)
		}
		j.want(number)
	}
}

// TestJobBuildkite: its plugin for docker gives the command to the shell that it is told.
func TestJobBuildkite(t *testing.T) {
	step := read[buildkitePipeline](t, "buildkite.yml").Steps[0]
	j := newJob(t)
	for name, p := range step.Plugins[0] {
		if !regexp.MustCompile(`^docker#v\d+\.\d+\.\d+$`).MatchString(name) || p.Entrypoint == nil {
			t.Fatalf("plugin %s %+v", name, p)
		}
		options := []string{"--volume", j.dir + ":/workdir", "--workdir", "/workdir", "--entrypoint", *p.Entrypoint}
		for _, v := range p.Volumes {
			options = append(options, "--volume", strings.Replace(v, "/etc/buildkite/docker", j.beside("auth"), 1))
		}
		for _, e := range p.Environment {
			options = append(options, "--env", strings.Replace(e, "BUILDKITE_BUILD_NUMBER", "BUILDKITE_BUILD_NUMBER=7", 1))
		}
		j.docker(t, slices.Concat(options, []string{j.here(p.Image)}, p.Shell, []string{strings.ReplaceAll(j.here(step.Command), "$$", "$")})...)
	}
	j.want("7")
}

// TestJobDrone: the commands are a script in a variable, with what the runner puts before each.
func TestJobDrone(t *testing.T) {
	p := read[dronePipeline](t, "drone.yml")
	if p.Kind != "pipeline" || p.Type != "docker" || p.Name == "" {
		t.Errorf("%+v", p)
	}
	j := newJob(t)
	step := p.Steps[0]
	script := "\nset -e\n"
	for _, command := range step.Commands {
		script += "\necho + " + strconv.Quote(strings.ReplaceAll(j.here(command), "$", `\$`)) + "\n" + j.here(command) + "\n"
	}
	j.script(step, "/drone/src", []string{"DRONE_COMMIT_SHA=c0ffee", "DRONE_SCRIPT=" + script}, `echo "$DRONE_SCRIPT" | /bin/sh`)
	j.want("c0ffee")
}

// TestJobWoodpecker: the same, encoded.
func TestJobWoodpecker(t *testing.T) {
	step := read[woodpeckerWorkflow](t, "woodpecker.yml").Steps[0]
	j := newJob(t)
	script := base64.StdEncoding.EncodeToString([]byte(j.here(strings.Join(step.Commands, "\n"))))
	j.script(step, "/woodpecker/src", []string{"CI_COMMIT_SHA=c0ffee", "CI_SCRIPT=" + script}, "echo $CI_SCRIPT | base64 -d | /bin/sh -e")
	j.want("c0ffee")
}

// script starts a step as systems do that take the shell of every image for it.
func (j *job) script(step scriptStep, dir string, environ []string, start string) {
	j.Helper()
	login, err := os.ReadFile(filepath.Join(j.beside("auth"), "config.json"))
	if err != nil {
		j.Fatal(err)
	}
	options := []string{"--volume", j.dir + ":" + dir, "--workdir", dir, "--entrypoint", "/bin/sh"}
	for name := range step.Environment {
		environ = append(environ, name+"="+string(login))
	}
	for _, e := range environ {
		options = append(options, "--env", e)
	}
	j.docker(j.T, append(options, j.here(step.Image), "-c", start)...)
}

// TestJobSlurm: a batch script is executed by bash in the directory of the project, with a directory of the node.
func TestJobSlurm(t *testing.T) {
	j := newJob(t)
	text, err := os.ReadFile("../../examples/ci/slurm.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-e", "-c", j.here(string(text)))
	cmd.Dir = j.dir
	cmd.Env = []string{"PATH=" + j.binaries + ":" + os.Getenv("PATH"), "HOME=" + j.beside("home"), "TMPDIR=" + j.beside("node")}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	j.want("v1")
}

// TestPagesShowTheFiles compares the blocks of the pages that name a file with that file, and holds that each file is shown or is a part of the action.
// A block names its file in its first line, or in the line before it where the first line must be that of the file.
func TestPagesShowTheFiles(t *testing.T) {
	shown := map[string]bool{"github/action.yml": true, "github/build.sh": true}
	for _, page := range []string{"ci.md", "hpc.md"} {
		text, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?ms)(?:^`examples/ci/(\\S+)`:\\n\\n)?^```\\w+\\n(?:(?:#|//) examples/ci/(\\S+)\\n)?(.*?)^```").FindAllSubmatch(text, -1) {
			name := string(m[1]) + string(m[2])
			if name == "" {
				continue
			}
			file, err := os.ReadFile("../../examples/ci/" + name)
			if err != nil || !bytes.Equal(file, m[3]) {
				t.Errorf("%s shows another %s than there is: %v", page, name, err)
			}
			shown[name] = true
		}
	}
	err := filepath.WalkDir("../../examples/ci", func(path string, d os.DirEntry, err error) error {
		if name, _ := filepath.Rel("../../examples/ci", path); err == nil && !d.IsDir() && !shown[name] {
			t.Errorf("no page shows %s", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
