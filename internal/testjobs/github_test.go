// This file owns the action of GitHub: its step is run on the machine of the runner, as the runner gives it its inputs.

package testjobs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestJobGitHub(t *testing.T) {
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip("jq is missing, which runners have")
	}
	action := read[githubAction](t, "github/action.yml")
	step := action.Runs.Steps[1]
	if action.Runs.Using != "composite" || step.Shell != "bash" || step.Run != "${{ github.action_path }}/build.sh" {
		t.Errorf("%+v", action.Runs)
	}
	workflow := read[githubWorkflow](t, "github/workflow.yml")
	used := workflow.Jobs["image"].Steps[2]
	if used.Uses != "./examples/ci/github" {
		t.Errorf("the workflow uses %s", used.Uses)
	}
	for name := range used.With {
		if _, known := action.Inputs[name]; !known {
			t.Errorf("the action has no input %s", name)
		}
	}
	j := newJob(t)
	writeFiles(t, j.dir, map[string]string{"Lint.Dockerfile": "FROM " + j.base + "\nENV A b\nCOPY file /file\nRUN id -u >/id\n", "Broken.Dockerfile": "FROM " + j.base + "\nRUN exit 3\n"})
	run := func(file string) (out, said, summary string, err error) {
		temp := j.beside("temp")
		env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + j.beside("home"), "DOCKER_HOST=" + os.Getenv("DOCKER_HOST"), "GITHUB_WORKSPACE=" + j.dir, "RUNNER_TEMP=" + temp,
			"GITHUB_OUTPUT=" + filepath.Join(temp, "output"), "GITHUB_STEP_SUMMARY=" + filepath.Join(temp, "summary")}
		for name, value := range step.Env {
			input := strings.TrimSuffix(strings.TrimPrefix(value, "${{ inputs."), " }}")
			declared, known := action.Inputs[input]
			if !known {
				t.Fatalf("%s is %s, which is no input", name, value)
			}
			given := map[string]string{"tags": j.here("registry.example/team/agent:one\nregistry.example/team/agent:two\n"), "file": file}[input]
			if given == "" && declared.Default != nil {
				given = j.here(*declared.Default)
			}
			env = append(env, name+"="+given)
		}
		cmd := exec.Command("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "../../examples/ci/github/build.sh")
		cmd.Env = env
		text, err := cmd.CombinedOutput()
		output, _ := os.ReadFile(filepath.Join(temp, "output"))
		written, _ := os.ReadFile(filepath.Join(temp, "summary"))
		return string(text), string(output), string(written), err
	}
	out, output, summary, err := run("Lint.Dockerfile")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	j.want("one")
	j.want("two")
	digest := regexp.MustCompile(`^digest=(sha256:[0-9a-f]{64})\n$`).FindStringSubmatch(output)
	if digest == nil || !strings.Contains(summary, "| `"+j.here("registry.example/team/agent:two")+"` | `"+digest[1]+"` |") {
		t.Errorf("the output is %q, the summary %q", output, summary)
	}
	if !strings.Contains(out, "::warning file=Lint.Dockerfile,line=2,title=LegacyKeyValueFormat::") {
		t.Errorf("no annotation in\n%s", out)
	}
	// The next job has the cache alone.
	if out, _, _, err = run("Lint.Dockerfile"); err != nil || !strings.Contains(out, "RUN id -u >/id\n") || !strings.Contains(out, "CACHED") {
		t.Errorf("the steps are not cached: %v\n%s", err, out)
	}
	if out, _, _, err = run("Broken.Dockerfile"); err == nil || !strings.Contains(out, "::error file=Broken.Dockerfile,title=gbuild::") {
		t.Errorf("a build that fails: %v\n%s", err, out)
	}
}
