package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v3"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// This file holds the pages for users to what they say: every command line in them is run, or its options are read; every
// job is decoded, with no field that the test does not know; every piece of a Dockerfile is parsed.

// docBlock is one fenced block of a page.
type docBlock struct{ page, language, text string }

var fence = regexp.MustCompile("(?ms)^```(\\w*)\\n(.*?)^```")

func docPages(t *testing.T) (pages []string) {
	t.Helper()
	for _, pattern := range []string{"../../docs/*.md", "../../docs/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no pages: %v", err)
		}
		pages = append(pages, found...)
	}
	return append(pages, "../../README.md")
}

func docBlocks(t *testing.T, languages ...string) (blocks []docBlock) {
	t.Helper()
	for _, page := range docPages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
			if slices.Contains(languages, m[1]) && !strings.HasPrefix(m[2], "# examples/ci/") { // internal/testjobs runs those
				blocks = append(blocks, docBlock{filepath.Base(page), m[1], m[2]})
			}
		}
	}
	return blocks
}

// notRun are the beginnings of command lines that no test can run here, and why. The options of those of gbuild are read.
var notRun = map[string]string{
	"make ":                         "it runs the tests, or what they run",
	"sudo ":                         "it changes the machine",
	"gbuild run --gpus":             "it needs a GPU and a terminal",
	"gbuild build -t my-agent git@": "it needs a login at a git server",
	"gbuild build -t registry.example/tools/gbuild": "it builds gbuild itself, as internal/testjobs does",
	"gbuild build --mirror":                         "no mirror of the indexes is to be had",
	"gbuild build --registry-mirror":                "no mirror is to be had",
}

func whyNotRun(line string) string {
	for start, why := range notRun {
		if strings.HasPrefix(line, start) {
			return why
		}
	}
	return ""
}

// commandLines are the lines of a block of shell text, without prompts and comments.
func commandLines(text string) (lines []string) {
	for _, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(strings.TrimPrefix(line, "$ "), "  #")
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// docProject is where the lines are run: a project with the names that the pages use.
const docProject = `
-- Dockerfile --
FROM $REGISTRY/cuda:12
RUN --mount=type=cache,target=/root/.cache/pip echo 1 >/root/.cache/pip/f
RUN pip install agent
CMD ["true"]
-- docker/train.Dockerfile --
FROM scratch
COPY a /
-- pip --
#!/bin/sh
mkdir -p $PIP_CACHE_DIR/http $PIP_CACHE_DIR/wheels
echo 1 >$PIP_CACHE_DIR/http/f
echo 1 >$PIP_CACHE_DIR/wheels/f
-- a --
`

// docSetUp makes the images and the caches that the lines of a page begin with.
const docSetUp = `
chmod 0755 pip
exec gbuild build -q -t $REGISTRY/cuda:12 --push -f base.Dockerfile .
exec gbuild build -q -t agent -t agent:old -t my-agent -t app .
exec gbuild cache push --downloads $REGISTRY/team/mounts
`

// docScript is a testscript that runs the lines of one page.
func docScript(lines []string) string {
	var script, files strings.Builder
	script.WriteString(docSetUp)
	for i, line := range lines {
		if why := whyNotRun(line); why != "" {
			fmt.Fprintf(&script, "# not run: %s (%s)\n", line, why)
			continue
		}
		fmt.Fprintf(&script, "# line %d\nexec sh -eu line%d.sh\n", i, i)
		line = strings.NewReplacer("registry.example", "$REGISTRY", "docker load -i agent.tar", "test -s agent.tar", "/kaniko/executor", "executor").Replace(line)
		fmt.Fprintf(&files, "-- line%d.sh --\n%s\n", i, line)
	}
	return script.String() + docProject + "-- base.Dockerfile --\nFROM $REGISTRY/base/shell:1\nCOPY pip /bin/pip\n" + files.String()
}

// TestDocsCommands runs every line of shell text of every page, in the order of the page.
func TestDocsCommands(t *testing.T) {
	shellImage(t)
	pages := map[string][]string{}
	for _, b := range docBlocks(t, "sh", "console") {
		if slices.Contains(gpuPages(t), b.page) {
			continue // TestGPUPages runs those
		}
		pages[b.page] = append(pages[b.page], commandLines(b.text)...)
	}
	for _, m := range gitlabJobs(t) {
		pages[m.page] = append(pages[m.page], m.lines...)
	}
	dir := t.TempDir()
	for page, lines := range pages {
		name := strings.TrimSuffix(page, ".md") + ".txtar"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(docScript(lines)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{Dir: dir, Setup: setUpScript, Condition: condition, RequireExplicitExec: true})
}

// inline finds command lines of gbuild in running text.
var inline = regexp.MustCompile("`(gbuild [^`]+)`")

// TestDocsOptionsOfCommands reads the options of every command line of gbuild in the pages, also of those that are not run.
func TestDocsOptionsOfCommands(t *testing.T) {
	for _, page := range docPages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, m := range inline.FindAllStringSubmatch(fence.ReplaceAllString(string(text), ""), -1) {
			lines = append(lines, m[1])
		}
		for _, b := range docBlocks(t, "sh", "console") {
			if b.page == filepath.Base(page) {
				lines = append(lines, commandLines(b.text)...)
			}
		}
		for _, line := range lines {
			if err := readOptions(line); err != nil && !strings.Contains(err.Error(), "flag needs an argument") { // only its name is told
				t.Errorf("%s: %s: %v", filepath.Base(page), line, err)
			}
		}
	}
}

// readOptions finds the command of a line of gbuild, and parses its flags. What a reader fills in stands for itself.
func readOptions(line string) error {
	_, after, found := strings.Cut(line, "gbuild ")
	if !found {
		return nil
	}
	args := strings.Fields(strings.FieldsFunc(after, func(c rune) bool { return strings.ContainsRune("|&;<", c) })[0])
	a := cli.New(os.LookupEnv, strings.NewReader(""), cli.Handed{})
	a.Stdout, a.Stderr = io.Discard, io.Discard
	args = slices.DeleteFunc(args, func(arg string) bool { return strings.ContainsAny(arg, "…[]") })
	c, rest, err := newRootCommand(a).Find(args)
	if err != nil {
		return err
	}
	return c.ParseFlags(rest)
}

// TestDocsDockerfiles parses every piece of a Dockerfile.
func TestDocsDockerfiles(t *testing.T) {
	for _, b := range docBlocks(t, "dockerfile") {
		text := b.text
		if !strings.Contains(text, "FROM ") {
			text = "FROM scratch\n" + text
		}
		plan, err := dockerfile.Parse("Dockerfile", []byte(text), dockerfile.Options{})
		if err == nil && len(plan.Stages) == 0 {
			err = fmt.Errorf("no stages")
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", b.page, err, b.text)
		}
	}
}

// gitlabJob is what the pages use of a job of .gitlab-ci.yml.
type gitlabJob struct {
	Image struct {
		Name       string
		Entrypoint []string
	}
	Variables map[string]string
	Cache     struct {
		Key   string
		Paths []string
	}
	BeforeScript []string `yaml:"before_script"`
	Script       []string
}

// gitlabLines are the lines of a job as a shell has them after each other.
type gitlabLines struct {
	page  string
	lines []string
}

// gitlabJobs decodes the jobs of the pages, and returns what their runners would give to a shell.
func gitlabJobs(t *testing.T) (all []gitlabLines) {
	t.Helper()
	for _, b := range docBlocks(t, "yaml") {
		jobs := map[string]gitlabJob{}
		decodeStrictly(t, b, &jobs)
		for name, job := range jobs {
			if !slices.Equal(job.Image.Entrypoint, []string{""}) {
				t.Errorf("%s: job %s: the runner's shell would be an argument of the image's entry point", b.page, name)
			}
			text := `export CI_PROJECT_DIR="$WORK" CI_COMMIT_SHA=c0ffee CI_REGISTRY="$REGISTRY" CI_REGISTRY_IMAGE="$REGISTRY/team/agent" CI_REGISTRY_USER=u CI_REGISTRY_PASSWORD=p` + "\n"
			for key, value := range job.Variables {
				text += fmt.Sprintf("export %s=\"%s\"\n", key, value)
			}
			all = append(all, gitlabLines{b.page, []string{text + strings.Join(slices.Concat(job.BeforeScript, job.Script), "\n")}})
		}
	}
	return all
}

func decodeStrictly(t *testing.T, b docBlock, into any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader([]byte(b.text)))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v\n%s", b.page, err, b.text)
	}
}
