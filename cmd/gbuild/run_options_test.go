package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// parseRun reads a command line of gbuild run, up to the image.
func parseRun(t *testing.T, args ...string) *runOptions {
	t.Helper()
	o := &runOptions{}
	c := newRunCommand(testApp(nil))
	c.ResetFlags()
	o.add(c.Flags())
	if err := c.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	o.life.rmGiven, o.process.entrypointGiven = c.Flags().Changed("rm"), c.Flags().Changed("entrypoint")
	return o
}

// A command line that makes no sense is refused before anything is made for it.
func TestRunRefusesBeforeItMakes(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "",
		"--restart sometimes":        "--restart sometimes: it is no, on-failure[:TIMES], always or unless-stopped",
		"--restart always --rm":      "cannot specify both --restart and --rm",
		"--restart no --rm":          "",
		"--stop-signal NOSUCH":       "invalid signal: NOSUCH",
		"--pull now":                 "--pull now: it is one of always, missing, never",
		"--network bridge":           "",
		"--network nosuch":           "--network nosuch: it is one of default, private, bridge, host, none",
		"--ipc shared":               "--ipc shared: it is one of private, host",
		"-v relative":                "-v relative: it is SOURCE:TARGET[:ro], TARGET absolute",
		"-v /a:/b:bogus":             "-v /a:/b:bogus: invalid mode: bogus",
		"--mount type=bind":          "target is required",
		"--tmpfs relative":           "the directory is not absolute",
		"--gpus all,all":             "can be specified only once",
		"-p 80:x":                    "-p 80:x: invalid port: x",
		"--memory 1m":                "the minimum is 6m",
		"--cpus none":                "--cpus none: it is a number of processors such as 1.5",
		"--memory 8g --cpus 1.5":     "",
		"-p 8000-8001:80-81 -v a:/b": "",
	} {
		err := parseRun(t, strings.Fields(text)...).check(testApp(nil))
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if err := parseRun(t).check(testApp(map[string]string{"GBUILD_MIN_ISOLATION": "nosuch"})); err == nil {
		t.Error("an isolation that nobody knows was taken")
	}
}

// What a room has read is what the sandbox gets, once and in its order.
func TestRunFillsTheSandbox(t *testing.T) {
	dir := t.TempDir()
	o := parseRun(t, "-v", dir+":/a:ro", "--mount", "type=tmpfs,target=/b,tmpfs-size=1m", "--tmpfs", "/c", "-v", "data:/d:nocopy",
		"--entrypoint", "sh", "-e", "A=1", "-e", "PASSED", "-e", "UNSET", "--cap-drop", "ALL", "--shm-size", "12m", "--add-host", "there:1.2.3.4", "--memory", "8m")
	a := testApp(map[string]string{"PASSED": "along"})
	a.Handed.FileEnv = []string{"FILE=said"}
	o.process.args = []string{"-c", "true"}
	if err := o.check(a); err != nil {
		t.Fatal(err)
	}
	config := &v1.Config{Entrypoint: []string{"entry"}, Cmd: []string{"default"}, Env: []string{"PATH=/image", "A=0"}, WorkingDir: "/work"}
	box := &runtime.Sandbox{Hostname: "box", Notice: func(text string) { t.Error(text) }}
	for _, err := range []error{o.process.fill(box, config), o.mounts.fill(box), o.process.fillEnv(box, config, a), o.box.fillKeepID(box, false), o.box.fill(box, nil),
		o.network.fill(box), o.devices.fill(context.Background(), box, a.Environ, dir), o.box.fillShm(box)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var mounts []string
	for _, m := range box.Mounts {
		mounts = append(mounts, m.Type+" "+m.Target)
	}
	if got := strings.Join(mounts, ", "); got != "bind /a, volume-nocopy /d, tmpfs /b, tmpfs /c" || !box.Mounts[0].ReadOnly || box.Mounts[2].Size != 1<<20 {
		t.Errorf("mounts: %s", got)
	}
	if got := strings.Join(box.Env, " "); got != "PATH="+defaultPath+" HOSTNAME=box PATH=/image A=0 FILE=said A=1 PASSED=along" {
		t.Errorf("environment: %s", got)
	}
	if !slices.Equal(box.Args, []string{"sh", "-c", "true"}) || box.Dir != "/work" || box.ShmSize != 12<<20 || len(box.Hosts) != 1 || o.limits.parsed.Memory != 8<<20 || box.CapDrop[0] != "ALL" {
		t.Errorf("%+v", box)
	}
}

// The words of a command are docker's: an entrypoint that is given takes the image's arguments away, too.
func TestRunWords(t *testing.T) {
	config := &v1.Config{Entrypoint: []string{"entry"}, Cmd: []string{"default"}}
	for _, c := range []struct {
		process runProcess
		want    string
	}{
		{runProcess{}, "entry default"},
		{runProcess{args: []string{"own"}}, "entry own"},
		{runProcess{entrypointGiven: true, entrypoint: "sh"}, "sh"},
		{runProcess{entrypointGiven: true, entrypoint: "sh", args: []string{"own"}}, "sh own"},
		{runProcess{entrypointGiven: true, args: []string{"own"}}, "own"},
	} {
		if got := strings.Join(c.process.words(config), " "); got != c.want {
			t.Errorf("%+v: %q, want %q", c.process, got, c.want)
		}
	}
	if err := (&runProcess{entrypointGiven: true}).fill(&runtime.Sandbox{}, config); err == nil {
		t.Error("no command is one")
	}
}

// The end of a container becomes one exit code.
func TestContainerExit(t *testing.T) {
	for code, err := range map[int]error{
		0:   nil,
		7:   &runtime.ExitError{Code: 7},
		64:  &host.Missing{What: "user namespaces"},
		125: errors.New("no such image"),
		127: &runtime.ExitError{Code: 127, Err: errors.New("not found")},
		130: cli.Interrupted(2),
	} {
		a := testApp(nil)
		said := &strings.Builder{}
		a.Stderr = said
		if got := cli.ExitCode(containerExit(a, err)); got != code || (said.Len() > 0) != (code > 10 && code != 130) {
			t.Errorf("%v: %d, want %d; said %q", err, got, code, said)
		}
	}
}

func TestRowOf(t *testing.T) {
	now := time.Now()
	r := &container.Record{ID: strings.Repeat("ab", 32), Name: "one", Image: "img", Command: []string{"sleep", "a long while, and longer"}, Created: now.Add(-time.Hour),
		Started: now.Add(-2 * time.Minute), Finished: now, ExitCode: 3, Ports: []string{"0.0.0.0:80->80/tcp", "0.0.0.0:81->81/tcp"}}
	for status, want := range map[container.Status]string{container.StatusRunning: "Up 2 minutes", container.StatusCreated: "Created",
		container.StatusExited: "Exited (3) Less than a second ago", container.StatusRestarting: "Restarting (3) Less than a second ago"} {
		r.Status = status
		row := rowOf(r, false)
		if row.Status != want || row.ID != "abababababab" || row.Command != `"sleep a long while,…"` || row.RunningFor != "About an hour ago" || row.Ports != "0.0.0.0:80->80/tcp, 0.0.0.0:81->81/tcp" {
			t.Errorf("%s: %+v", status, row)
		}
	}
	if row := rowOf(r, true); row.ID != r.ID || row.Command != `"sleep a long while, and longer"` {
		t.Errorf("%+v", row)
	}
}
