package running

import (
	"errors"
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
		"":                            "",
		"--restart sometimes":         "--restart sometimes: it is no, on-failure[:TIMES], always or unless-stopped",
		"--restart always --rm":       "cannot specify both --restart and --rm",
		"--restart no --rm":           "",
		"--stop-signal NOSUCH":        "invalid signal: NOSUCH",
		"--pull now":                  "--pull now: it is one of always, missing, never",
		"--network bridge":            "",
		"--network nosuch":            "--network nosuch: it is one of default, private, bridge, host, none",
		"--ipc shared":                "--ipc shared: it is one of private, shareable, host",
		"-v relative":                 "-v relative: invalid mount path: 'relative' mount path must be absolute",
		"-v /a:/b:bogus":              "-v /a:/b:bogus: invalid mode: bogus",
		"--mount type=bind":           "target is required",
		"--tmpfs relative":            "--tmpfs relative: invalid mount path",
		"--gpus all,all":              "can be specified only once",
		"-p 80:x":                     "-p 80:x: invalid port: x",
		"--memory 1m":                 "the minimum is 6m",
		"--cpus none":                 "--cpus none: it is a number of processors such as 1.5",
		"--memory 8g --cpus 1.5":      "",
		"-p 8000-8001:80-81 -v ab:/b": "",
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

// What whoever runs the machine demands goes before what a flag shares with it.
func TestDemandsGoBeforeFlags(t *testing.T) {
	for _, c := range []struct{ least, text, want string }{
		{"own-proc", "--pid host", "the processes of the host are not to be had here: GBUILD_MIN_ISOLATION is own-proc"},
		{"rootless,own-proc", "--pid=host", "GBUILD_MIN_ISOLATION is rootless,own-proc"},
		{"own-proc", "--pid private --network host", ""},
		{"private-network", "--network host", "GBUILD_MIN_ISOLATION is private-network"},
		{"private-network", "--net=host", "GBUILD_MIN_ISOLATION is private-network"},
		{"private-network", "--pid host --network none", ""},
		{"user-namespace", "--userns=host", ""}, // the container has a user namespace all the same
	} {
		err := parseRun(t, strings.Fields(c.text)...).check(testApp(map[string]string{"GBUILD_MIN_ISOLATION": c.least}))
		if (err != nil) != (c.want != "") || err != nil && (!strings.Contains(err.Error(), c.want) || !cli.HostAtFault(err)) {
			t.Errorf("%s, %s: %v, want %q", c.least, c.text, err, c.want)
		}
	}
}

// A directory takes one mount, as in docker: of several --tmpfs the last one, and an anonymous volume only where nothing else is.
func TestOneMountForADirectory(t *testing.T) {
	for text, want := range map[string]string{
		"-v /a:/x -v /b:/x":                                       "duplicate mount point: /x is that of -v /a:/x and of -v /b:/x",
		"-v /a:/x -v /b:/x/":                                      "duplicate mount point: /x",
		"-v /a:/x -v vol:/x":                                      "duplicate mount point: /x",
		"-v /a:/x --tmpfs /x":                                     "duplicate mount point: /x",
		"-v /a:/x --mount type=bind,source=/a,target=/x":          "duplicate mount point: /x",
		"--mount target=/x,source=vol --mount target=/x":          "duplicate mount point: /x",
		"--mount type=tmpfs,target=/x --tmpfs /x":                 "duplicate mount point: /x",
		"-v /a:/x -v /b:/x/y --tmpfs /y":                          "bind /x, bind /x/y, tmpfs /y",
		"-v /a:/x -v /a:/x":                                       "bind /x",
		"-v /x -v /a:/x":                                          "bind /x",
		"-v /a:/x -v /x":                                          "bind /x",
		"-v /x -v /x":                                             "volume /x",
		"-v /x --tmpfs /x":                                        "tmpfs /x",
		"--tmpfs /x:size=1m --tmpfs /y --tmpfs /x:size=2m":        "tmpfs /y, tmpfs /x size=2m",
		"-v /x --mount type=volume,source=vol,target=/x,readonly": "volume /x",
	} {
		o := parseRun(t, strings.Fields(text)...)
		err := o.Mounts.parse()
		var got []string
		for _, m := range o.Mounts.parsed {
			got = append(got, strings.TrimSpace(m.Type+" "+m.Target+" "+m.Data))
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if all := strings.Join(got, ", "); all != want && (err == nil || !strings.HasPrefix(all, want)) {
			t.Errorf("%s: %s, want %s", text, all, want)
		}
	}
}

// What of a mount is weaker than asked is said, and nothing else.
func TestMountNotices(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"-v DIR:/shared:rslave": "",
		"-v DIR:/x:rshared":     "stays in it",
		"-v DIR:/x:ro,U":        "U of -v",
		"--mount type=bind,source=DIR,target=/x,bind-propagation=shared":     "stays in it",
		"--mount type=bind,source=DIR,target=/shared,bind-propagation=slave": "",
	} {
		o := parseRun(t, strings.Fields(strings.ReplaceAll(text, "DIR", dir))...)
		var said []string
		if err := errors.Join(o.Mounts.parse(), o.Mounts.fill(&runtime.Sandbox{Notice: func(text string) { said = append(said, text) }})); err != nil {
			t.Fatal(text, err)
		}
		if got := strings.Join(said, ""); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
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
	for _, err := range []error{o.Process.fill(box, config), o.Mounts.fill(box), o.Process.fillEnv(box, config, a), o.Box.fillKeepID(box, ""), o.Box.fill(box, nil),
		o.Network.fill(box), o.Devices.fill(box, dir), o.Box.fillShm(box, o.Devices.haveGPU(box))} {
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
