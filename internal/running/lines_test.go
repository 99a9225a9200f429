package running

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/testgpu"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/gpu"
)

// onHost is set in the process of a test that is on the host with GPUs.
const onHost = "_GBUILD_TEST_ON_HOST"

// runOnHost runs a test once more, on a host with GPUs, and says whether this is there already.
func runOnHost(t *testing.T) (there bool) {
	t.Helper()
	if os.Getenv(onHost) != "" {
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := testgpu.New(t).Command(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), onHost+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("on a host with GPUs: %v\n%s", err, out)
	} else {
		t.Logf("%s", out)
	}
	return false
}

// TestDockerLines makes a sandbox of every command line of the table, on a host with GPUs, and starts none.
func TestDockerLines(t *testing.T) {
	if !runOnHost(t) {
		return
	}
	home := t.TempDir()
	lines := testgpu.Lines(t, home)
	t.Chdir(home)
	t.Setenv("HOME", home)
	for _, dir := range []string{"/models/half_plus_two_gpu", "/data"} { // what --mount wants to be there
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	started := 0
	for _, l := range lines {
		err := plan(t, l.Args)
		said := fmt.Sprintf("%v (%s)", err, hint.Of(err))
		switch {
		case l.Refuse == "" && err != nil:
			t.Errorf("%s\n\tis refused: %s", l.Text, said)
		case l.Refuse != "" && err == nil:
			t.Errorf("%s\n\tstarts, and was to be refused: %s", l.Text, l.Refuse)
		case l.Refuse != "" && (!strings.Contains(said, l.Refuse) || hint.Of(err) == ""):
			t.Errorf("%s\n\tis refused by other words, or without a hint: %s", l.Text, said)
		case err == nil:
			started++
		}
	}
	t.Logf("%d command lines: %d start, %d are refused with a hint", len(lines), started, len(lines)-started)
	if len(lines) < 300 || started*100 < len(lines)*97 {
		t.Errorf("%d of %d start", started, len(lines))
	}
}

// catalogOfHost is looked up once for all lines.
var catalogOfHost = sync.OnceValues(func() (*gpu.Catalog, error) {
	return (&cli.DeviceSources{}).Catalog(context.Background(), os.LookupEnv)
})

// plan reads a command line of docker run, and makes a sandbox of it.
func plan(t *testing.T, args []string) error {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	a := cli.New(os.LookupEnv, terminal, cli.Handed{})
	a.Stdout, a.Stderr = io.Discard, io.Discard
	o := New()
	f := pflag.NewFlagSet("run", pflag.ContinueOnError)
	o.Flags(f)
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return errors.New("no image")
	}
	o.Image.Name, o.Process.Args = f.Arg(0), f.Args()[1:]
	o.Given(f, a.Environ)
	if err := o.check(a); err != nil {
		return err
	}
	if err := readOnce(t.Context(), a, o); err != nil {
		return err
	}
	o.Network.ports = nil // no socket is opened, so none is handed on
	o.Devices.catalog = catalogOfHost
	config := &v1.Config{Cmd: []string{"bash"}, Env: []string{"PATH=" + defaultPath, "NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_REQUIRE_CUDA=cuda>=12.0"}}
	user, err := runtime.LookupUser(imageFile, o.Process.User)
	if err != nil {
		return err
	}
	box := &runtime.Sandbox{UID: user.UID, GID: user.GID, Hostname: "box", Notice: func(string) {}}
	if err := o.fill(t.Context(), a, box, filling{config, imageFile, "/root", t.TempDir()}); err != nil {
		return err
	}
	if wants := len(o.Devices.GPUs) > 0 || slices.ContainsFunc(o.Devices.Devices, func(d string) bool { return strings.Contains(d, "gpu") }); wants && !box.HasGPU() {
		return errors.New("the sandbox has no GPU")
	}
	return nil
}

// imageFile opens a file of an image that has the users of the table.
func imageFile(path string) (io.ReadCloser, error) {
	text, ok := map[string]string{
		"/etc/passwd": "root:x:0:0::/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\nadmin:x:1000:1000::/home/admin:/bin/bash\n",
		"/etc/group":  "root:x:0:\nvideo:x:44:\nrender:x:109:\nadmin:x:1000:\n",
	}[path]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return io.NopCloser(bytes.NewReader([]byte(text))), nil
}

// What has no effect is said once, and what a container cannot do without is refused before anything is made.
func TestOthers(t *testing.T) {
	for text, want := range map[string]string{
		"-q -a stdin -a stdout --uts private --annotation a=b --annotation c=d": "--annotation has no effect",
		"--oom-kill-disable": "--oom-kill-disable has no effect", "--oom-kill-disable=false": "", "--cgroupns=host": "--cgroupns has no effect",
		"--memory-swappiness 5": "--memory-swappiness has no effect", "--link db:db": "--link db:db: gbuild does not do that", "--use-api-socket": "gbuild does not do that",
	} {
		o := parseRun(t, strings.Fields(text)...)
		var said []string
		if err := o.check(testApp(nil)); err != nil {
			said = []string{err.Error()}
		} else {
			o.Others.fill(func(notice string) { said = append(said, notice) })
		}
		if got := strings.Join(said, "; "); !strings.Contains(got, want) || (want == "") != (got == "") || len(said) > 1 {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
