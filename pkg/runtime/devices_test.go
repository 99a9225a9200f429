package runtime

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/pkg/runtime/host"
	"github.com/gbuild/gbuild/pkg/runtime/rootedit"
)

// TestDevicesInSandbox asserts every kind of edit inside the container, and the order of hooks.
func TestDevicesInSandbox(t *testing.T) {
	root, _ := busyboxRoot(t)
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("busybox is not installed")
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "hooks")
	must(t, os.WriteFile(filepath.Join(dir, "libfake.so.1"), []byte("a library\n"), 0o644))
	hook := func(when string) DeviceHook {
		return DeviceHook{When: when, Path: busybox, Args: []string{"busybox", "sh", "-c", "echo " + when + " $EVIL >> " + log}, Env: []string{"PATH=/bin"}}
	}
	var out bytes.Buffer
	box := &Sandbox{Root: root, StateDir: t.TempDir(), Network: "none", Stdout: &out, Stderr: &out, Env: []string{"PATH=/bin", "EVIL=image", "FAKE=no"},
		Args: []string{"sh", "-c", "echo $FAKE; cat /usr/lib/libfake.so.1; stat -c %t:%T /dev/caps/full /dev/alias; chmod 600 /dev/alias || echo kept; head -c 1 /dev/alias | wc -c; echo x >/dev/alias && echo taken; readlink /usr/lib/libfake.so; echo x > /usr/lib/libfake.so.1 || echo ro"},
		Devices: []Edits{{
			Env: []string{"FAKE=yes"},
			Mounts: []DeviceMount{
				{Source: filepath.Join(dir, "libfake.so.1"), Target: "/usr/lib/libfake.so.1", Type: "bind", Options: []string{"rbind", "ro", "nosuid", "nodev"}},
			},
			Devices: []DeviceNode{{"/dev/zero", "/dev/alias"}, {"/dev/full", "/dev/caps/full"}},
			Hooks:   []DeviceHook{hook("poststop"), hook("createContainer"), hook("prestart"), hook("createRuntime")},
			Root:    rootedit.Edits{Links: []rootedit.Link{{Target: "libfake.so.1", Path: "/usr/lib/libfake.so"}}},
		}}}
	if err := box.Run(context.Background()); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	for _, want := range []string{"yes\n", "a library\n", "1:7\n1:5\n", "kept\n1\ntaken\n", "\nlibfake.so.1\n", "ro\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %q", want, out.String())
		}
	}
	b, err := os.ReadFile(log)
	must(t, err)
	if got, want := strings.Fields(string(b)), []string{"prestart", "createRuntime", "createContainer", "poststop"}; !slices.Equal(got, want) {
		t.Errorf("hooks ran as %q, want %q", got, want)
	}
}

// TestEditsStayOutOfVolumes mounts directories of the host over every place in which a driver has something. The container starts, nothing
// is made in them, and what they hide is said where it matters.
func TestEditsStayOutOfVolumes(t *testing.T) {
	files := t.TempDir()
	must(t, os.WriteFile(filepath.Join(files, "libcuda.so.580.1"), []byte("a library\n"), 0o644))
	driver := Edits{
		Mounts:  []DeviceMount{{Source: filepath.Join(files, "libcuda.so.580.1"), Target: "/usr/lib64/libcuda.so.580.1", Type: "bind", Options: []string{"bind", "ro"}}},
		Devices: []DeviceNode{{"/dev/zero", "/dev/nvidia0"}},
		Root: rootedit.Edits{LibraryDirs: []string{"/usr/lib64"}, Links: []rootedit.Link{
			{Target: "libcuda.so.580.1", Path: "/usr/lib64/libcuda.so.1"}, {Target: "/usr/lib64/libcuda.so.580.1", Path: rootedit.NvidiaLibraryDir + "/libcuda.so.1"},
			{Target: "../nvidia0", Path: "/dev/nvidia-by-path/0"}}},
	}
	for _, c := range []struct {
		over, notice, reached string // what the volume lies over, what is said of it, and a file that the command can read
		with                  []string
	}{
		{over: "/usr/local/nvidia", reached: "/usr/lib64/libcuda.so.1"},
		{over: "/etc", reached: "/usr/local/nvidia/lib64/libcuda.so.1"},
		{over: "/usr/lib64", notice: "the mount on /usr/lib64 hides /usr/lib64/libcuda.so.580.1"},
		{over: "/usr", notice: "the mount on /usr hides /usr/lib64/libcuda.so.580.1"},
		{over: "/usr/lib64", reached: "/usr/lib64/libcuda.so.580.1", with: []string{"libcuda.so.580.1"}},
	} {
		for _, readOnly := range []bool{true, false} {
			root, _ := busyboxRoot(t)
			volume := t.TempDir()
			for _, name := range c.with {
				must(t, os.WriteFile(filepath.Join(volume, name), []byte("the user's\n"), 0o644))
			}
			var out bytes.Buffer
			var notices []string
			box := &Sandbox{Root: root, StateDir: t.TempDir(), Network: "none", Stdout: &out, Stderr: &out, Env: []string{"PATH=/bin"},
				Args: []string{"sh", "-c", "cat " + c.reached + "; stat -c %t:%T /dev/nvidia0"}, Devices: []Edits{driver}, Stdin: strings.NewReader(""),
				Notice: func(text string) { notices = append(notices, text) },
				Mounts: []Mount{{Type: "bind", Source: volume, Target: c.over, ReadOnly: readOnly}}}
			want := "1:5\n"
			switch {
			case c.with != nil:
				want = "the user's\n" + want
			case c.reached != "":
				want = "a library\n" + want
			}
			if err := box.Run(context.Background()); err != nil || out.String() != want {
				t.Errorf("%s, read-only %v: %v, %q, want %q", c.over, readOnly, err, out.String(), want)
			}
			if left, _ := os.ReadDir(volume); len(left) != len(c.with) {
				t.Errorf("%s, read-only %v: the host's directory has %v", c.over, readOnly, left)
			}
			if got := strings.Join(notices, "; "); !strings.HasPrefix(got, c.notice) || c.notice == "" && strings.Contains(got, "hides") || strings.Count(got, "hides") > 1 {
				t.Errorf("%s, read-only %v: %q, want %q", c.over, readOnly, got, c.notice)
			}
		}
	}
}

// TestEditsBelongToRoot makes edits where the user of the container is the user of the host: what is made is root's inside, as an image's files.
func TestEditsBelongToRoot(t *testing.T) {
	root, _ := busyboxRoot(t)
	var out bytes.Buffer
	box := &Sandbox{Root: root, StateDir: t.TempDir(), Network: "none", Stdout: &out, Stderr: &out, Env: []string{"PATH=/bin"}, UID: 1000, GID: 1001, KeepID: &KeepID{UID: 1000, GID: 1001},
		Args:    []string{"stat", "-c", "%n %u:%g", "/opt/made", "/opt/made/link", "/opt/conf", "/opt/conf/file"},
		Devices: []Edits{{Root: rootedit.Edits{Links: []rootedit.Link{{Target: "x", Path: "/opt/made/link"}}, Files: []rootedit.File{{Path: "/opt/conf/file", Text: "x"}}}}}}
	if err := box.Run(context.Background()); err != nil || out.String() != "/opt/made 0:0\n/opt/made/link 0:0\n/opt/conf 0:0\n/opt/conf/file 0:0\n" {
		t.Errorf("%v: %s", err, out.String())
	}
}

// TestFailingHook fails the start, and says what the hook said.
func TestFailingHook(t *testing.T) {
	root, _ := busyboxRoot(t)
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("busybox is not installed")
	}
	state := t.TempDir()
	box := &Sandbox{Root: root, StateDir: state, Network: "none", Args: []string{"true"}, Env: []string{"PATH=/bin"},
		Devices: []Edits{{Hooks: []DeviceHook{{When: "createContainer", Path: busybox, Args: []string{"busybox", "sh", "-c", "echo no driver >&2; exit 1"}, Env: []string{"PATH=/bin"}}}}}}
	if err := box.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "no driver") {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(state); len(left) > 0 {
		t.Errorf("%v stays", left)
	}
}

func TestSwapped(t *testing.T) {
	file := filepath.Join(t.TempDir(), "map")
	must(t, os.WriteFile(file, []byte("0 1001 1\n1 100000 65536\n"), 0o644))
	line := func(inside, outside, size uint32) host.IDRange {
		return host.IDRange{Inside: inside, Outside: outside, Count: size}
	}
	for id, want := range map[int][]host.IDRange{
		0:     {line(0, 0, 1), line(1, 1, 65536)},
		1:     {line(1, 0, 1), line(0, 1, 1), line(2, 2, 65535)},
		1000:  {line(1000, 0, 1), line(1, 1, 999), line(0, 1000, 1), line(1001, 1001, 64536)},
		65536: {line(65536, 0, 1), line(1, 1, 65535), line(0, 65536, 1)},
	} {
		if got := swapped(id, file); !slices.Equal(got, want) {
			t.Errorf("swapped(%d) = %v, want %v", id, got, want)
		}
	}
}
