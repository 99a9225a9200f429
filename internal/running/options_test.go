package running

import (
	"context"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// parseRun reads a command line of gbuild run, up to the image.
func parseRun(t *testing.T, args ...string) *Options {
	t.Helper()
	o := New()
	f := pflag.NewFlagSet("run", pflag.ContinueOnError)
	o.Flags(f)
	if err := f.Parse(args); err != nil {
		t.Fatal(err)
	}
	o.Given(f, testApp(nil).Environ)
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

// What a part has read is what the sandbox gets, once and in its order.
func TestRunFillsTheSandbox(t *testing.T) {
	dir := t.TempDir()
	o := parseRun(t, "-v", dir+":/a:ro", "--mount", "type=tmpfs,target=/b,tmpfs-size=1m", "--tmpfs", "/c", "-v", "data:/d:nocopy",
		"--entrypoint", "sh", "-e", "A=1", "-e", "PASSED", "-e", "UNSET", "--cap-drop", "ALL", "--shm-size", "12m", "--add-host", "there:1.2.3.4", "--memory", "8m")
	a := testApp(map[string]string{"PASSED": "along"})
	a.Handed.FileEnv = []string{"FILE=said"}
	o.Process.Args = []string{"-c", "true"}
	if err := o.check(a); err != nil {
		t.Fatal(err)
	}
	config := &v1.Config{Entrypoint: []string{"entry"}, Cmd: []string{"default"}, Env: []string{"PATH=/image", "A=0"}, WorkingDir: "/work"}
	box := &runtime.Sandbox{Hostname: "box", Notice: func(text string) { t.Error(text) }}
	for _, err := range []error{o.Process.fill(box, config), o.Mounts.fill(box), o.Process.fillEnv(box, config, a), o.Box.fillKeepID(box, false), o.Box.fill(box, nil),
		o.Network.fill(box), o.Devices.fill(context.Background(), box, a.Environ, dir), o.Box.fillShm(box, o.Devices.haveGPU(box))} {
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
	if !slices.Equal(box.Args, []string{"sh", "-c", "true"}) || box.Dir != "/work" || box.ShmSize != 12<<20 || len(box.Hosts) != 1 || o.Limits.parsed.Memory != 8<<20 || box.CapDrop[0] != "ALL" {
		t.Errorf("%+v", box)
	}
}

// The words of a command are docker's: an entrypoint that is given takes the image's arguments away, too.
func TestRunWords(t *testing.T) {
	config := &v1.Config{Entrypoint: []string{"entry"}, Cmd: []string{"default"}}
	for _, c := range []struct {
		process Process
		want    string
	}{
		{Process{}, "entry default"},
		{Process{Args: []string{"own"}}, "entry own"},
		{Process{EntrypointGiven: true, Entrypoint: "sh"}, "sh"},
		{Process{EntrypointGiven: true, Entrypoint: "sh", Args: []string{"own"}}, "sh own"},
		{Process{EntrypointGiven: true, Args: []string{"own"}}, "own"},
	} {
		if got := strings.Join(c.process.words(config), " "); got != c.want {
			t.Errorf("%+v: %q, want %q", c.process, got, c.want)
		}
	}
	if err := (&Process{EntrypointGiven: true}).fill(&runtime.Sandbox{}, config); err == nil {
		t.Error("no command is one")
	}
}

// testApp is the app of a process with these variables.
func testApp(vars map[string]string) *cli.App {
	return cli.New(func(name string) (string, bool) { v, ok := vars[name]; return v, ok }, nil, cli.Handed{})
}
