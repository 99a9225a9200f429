package gpu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fixtures puts the fixture specs and the files that they name into a directory.
func fixtures(t *testing.T) (dir string) {
	dir = newFakeRoot(t).dir
	writeFile(t, dir+"/libfake.so.1", "fake", 0o644)
	writeFile(t, dir+"/bin/fakehook", "#!/bin/sh\n", 0o755)
	writeFile(t, dir+"/lib/libcuda.so.580.99.01", string(elfLibrary("libcuda.so.1", 2, nativeMachine)), 0o644)
	for _, name := range []string{"fake-vendor-cdi.yaml", "fake-nvidia-cdi.yaml"} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, dir+"/cdi/"+name, strings.ReplaceAll(string(b), "/FIXTURES", dir), 0o644)
	}
	return dir
}

func openDir(t *testing.T, hooks string, dirs ...string) *Catalog {
	var all []SpecDir
	for _, d := range dirs {
		all = append(all, SpecDir{Path: d})
	}
	return openCatalog(context.Background(), all, view{root: t.TempDir()}, []string{hooks})
}

func asJSON(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err)
	}
	return string(b) + "\n"
}

func TestInjectFixtures(t *testing.T) {
	for _, n := range []string{"/dev/zero", "/dev/full", "/dev/kmsg"} {
		if !exists(n) {
			t.Skipf("%s is not here", n)
		}
	}
	dir := fixtures(t)
	c := openDir(t, dir, dir+"/cdi")
	if len(c.Errors) != 0 || len(c.Notices) != 0 {
		t.Fatal(c.Errors, c.Notices)
	}
	for file, names := range map[string][]string{
		"inject-vendor.json": {"example.com/gpu=0", "example.com/gpu=1", "example.com/gpu=gid"},
		"inject-nvidia.json": {"nvidia.com/gpu=all"},
	} {
		e, err := c.Inject(names, InjectOptions{Env: []string{"PATH=/bin", "LD_PRELOAD=/evil.so"}})
		if err != nil {
			t.Fatal(err)
		}
		golden(t, file, dir, asJSON(e))
	}
	e, err := c.Inject([]string{"nvidia.com/gpu=all"}, InjectOptions{Layerless: true, Env: []string{"LD_LIBRARY_PATH=/a"}})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "inject-layerless.json", dir, asJSON(e))
}

func TestInjectUnknown(t *testing.T) {
	dir := fixtures(t)
	writeFile(t, dir+"/cdi/broken.yaml", "cdiVersion: [", 0o644)
	c := openDir(t, dir, dir+"/cdi")
	_, err := c.Inject([]string{"example.com/gpu=7", "x.y/z=1"}, InjectOptions{})
	if err == nil || err.Error() != "unresolvable CDI devices example.com/gpu=7, x.y/z=1" {
		t.Fatal(err)
	}
	unknown, _ := errors.AsType[*Error](err)
	hint := unknown.Hint()
	for _, want := range []string{"example.com/gpu=0, example.com/gpu=1", "nvidia.com/gpu=all", "broken.yaml"} {
		if !strings.Contains(hint, want) {
			t.Errorf("%q lacks %q", hint, want)
		}
	}
	empty := openDir(t, dir, filepath.Join(dir, "none"))
	if _, err := empty.Inject([]string{"nvidia.com/gpu=0"}, InjectOptions{}); err == nil || !strings.Contains(err.Error(), "no NVIDIA driver") {
		t.Error(err)
	}
	if _, err := empty.Resolve(Request{Count: -1}); err == nil || !strings.Contains(err.Error(), "no NVIDIA driver") {
		t.Error(err)
	}
	if names, err := empty.Resolve(Request{}); err != nil || names != nil {
		t.Error(names, err)
	}
}

func TestGeneratedSpecInject(t *testing.T) {
	r := newFakeRoot(t).loaded(v580).driver(v580, debianLibs).gpu("0000:1b:00.0", 0, uuidA, "NVIDIA H100").gpu("0000:1c:00.0", 1, uuidB, "NVIDIA H100")
	r.script("/usr/bin/nvidia-smi", "#!/bin/sh\n")
	c := openCatalog(context.Background(), nil, r.host(), hookDirs)
	names, err := c.Resolve(Request{Count: 1}, Request{DeviceIDs: []string{"0", uuidB}})
	if err != nil || strings.Join(names, " ") != "nvidia.com/gpu=0 nvidia.com/gpu="+uuidB {
		t.Fatal(names, err)
	}
	e, err := c.Inject(names, InjectOptions{Env: []string{"NVIDIA_DRIVER_CAPABILITIES=utility"}})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "inject-utility.json", r.dir, asJSON(e))
	e, err = c.Inject(names, InjectOptions{Env: []string{"NVIDIA_DRIVER_CAPABILITIES=utility"}, Capabilities: "compute"})
	if err != nil || !strings.Contains(asJSON(e), "libcuda.so") || strings.Contains(asJSON(e), "nvidia-smi") {
		t.Errorf("the request's capabilities do not win: %s %v", asJSON(e), err)
	}
	if _, err := c.Inject(names, InjectOptions{Capabilities: "bogus"}); err == nil {
		t.Error("bogus capabilities are accepted")
	}
}

const simpleSpec = "cdiVersion: 0.6.0\nkind: %s\ndevices: [{name: \"%s\", containerEdits: {env: [\"FROM=%s\"]}}]\n"

func TestSpecDirs(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	writeFile(t, a+"/one.yaml", fmt.Sprintf(simpleSpec, "v.com/c", "x", "a"), 0o644)
	writeFile(t, a+"/two.json", `{"cdiVersion":"0.6.0","kind":"v.com/d","devices":[{"name":"y","containerEdits":{"env":["Y=1"]}}]}`, 0o644)
	writeFile(t, a+"/same.yaml", fmt.Sprintf(simpleSpec, "v.com/d", "y", "same"), 0o644)
	writeFile(t, a+"/note.txt", "no spec", 0o644)
	writeFile(t, b+"/one.yaml", fmt.Sprintf(simpleSpec, "v.com/c", "x", "b"), 0o644)
	for name, text := range map[string]string{
		"empty": "", "null": "null", "text": "hello", "nodev": "cdiVersion: 0.6.0\nkind: v.com/c\ndevices: []\n",
		"kind": fmt.Sprintf(simpleSpec, "../..", "x", "b"), "name": fmt.Sprintf(simpleSpec, "v.com/c", "a=b", "b"),
		"field": fmt.Sprintf(simpleSpec, "v.com/c", "z", "b") + "evil: true\n", "version": strings.Replace(simpleSpec, "0.6.0", "99.0", 1),
		"nullnode": "cdiVersion: 0.6.0\nkind: v.com/c\ndevices: [{name: q, containerEdits: {deviceNodes: [null]}}]\n",
		"bomb":     "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e]\n",
		"huge":     strings.Repeat("# padding\n", maxSpec/10+1),
	} {
		writeFile(t, b+"/bad-"+name+".yaml", text, 0o644)
	}
	if err := unix.Mkfifo(b+"/bad-fifo.yaml", 0o644); err != nil {
		t.Fatal(err)
	}
	c := openDir(t, "/usr", a, b, a+"/none")
	if got := strings.Join(c.Names(), " "); got != "v.com/c=x v.com/d=y" {
		t.Error(got)
	}
	e, err := c.Inject([]string{"v.com/c=x"}, InjectOptions{})
	if err != nil || len(e.Env) != 1 || e.Env[0] != "FROM=b" {
		t.Error("the later directory does not win:", e, err)
	}
	if len(c.Errors) != 13 { // twelve files and a conflict
		t.Errorf("%d errors: %v", len(c.Errors), c.Errors)
	}
}

func TestUntrustedSpecs(t *testing.T) {
	spec := fmt.Sprintf(simpleSpec, "v.com/c", "x", "a")
	for _, c := range []struct {
		name string
		user bool
		make func(t *testing.T, dir string)
		want string
	}{
		{"fine", true, func(t *testing.T, d string) {}, ""},
		{"world", false, func(t *testing.T, d string) { chmod(t, d+"/s.yaml", 0o666) }, "writable by everybody"},
		{"world dir", false, func(t *testing.T, d string) { chmod(t, d, 0o777) }, "writable by everybody"},
		{"group", true, func(t *testing.T, d string) { chmod(t, d+"/s.yaml", 0o664) }, "writable by its group"},
		{"group, the administrator's", false, func(t *testing.T, d string) { chmod(t, d+"/s.yaml", 0o664) }, ""},
		{"owner", true, func(t *testing.T, d string) { chown(t, d+"/s.yaml", 12) }, "owned by another user (uid 12)"},
		{"owner, the administrator's", false, func(t *testing.T, d string) { chown(t, d+"/s.yaml", 12) }, "owned by another user (uid 12)"},
		{"owner of the directory", true, func(t *testing.T, d string) { chown(t, d, 12) }, "owned by another user (uid 12)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, dir+"/s.yaml", spec, 0o644)
			chmod(t, dir, 0o755)
			c.make(t, dir)
			got := openCatalog(context.Background(), []SpecDir{{dir, c.user}}, view{root: t.TempDir()}, hookDirs)
			if (len(got.Names()) == 1) != (c.want == "") || c.want != "" && (len(got.Notices) != 1 || !strings.Contains(got.Notices[0], c.want)) {
				t.Errorf("%v, %q; want %q", got.Names(), got.Notices, c.want)
			}
		})
	}
}

func chmod(t *testing.T, p string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(p, mode); err != nil {
		t.Fatal(err)
	}
}

func chown(t *testing.T, p string, uid int) {
	t.Helper()
	if err := os.Chown(p, uid, uid); err != nil {
		t.Skip("cannot give a file to another user:", err)
	}
}

// A spec is input: what no device needs is refused, whoever wrote it.
func TestHostileSpecs(t *testing.T) {
	dir := newFakeRoot(t).dir
	writeFile(t, dir+"/file", "", 0o644)
	writeFile(t, dir+"/hooks/ok", "", 0o755)
	writeFile(t, dir+"/hooks/plain", "", 0o644)
	writeFile(t, dir+"/hooks/open", "", 0o777)
	writeFile(t, dir+"/other/x", "", 0o755)
	if err := os.Symlink("../other/x", dir+"/hooks/link"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/", dir+"/slash"); err != nil {
		t.Fatal(err)
	}
	mount := func(host, target string) string {
		return fmt.Sprintf(`{mounts: [{hostPath: "%s", containerPath: "%s"}]}`, host, target)
	}
	hook := func(p string) string {
		return fmt.Sprintf(`{hooks: [{hookName: createContainer, path: "%s", args: [a]}]}`, p)
	}
	link := func(args string) string {
		return fmt.Sprintf(`{hooks: [{hookName: createContainer, path: /x/nvidia-ctk, args: [nvidia-ctk, hook, %s]}]}`, args)
	}
	for edits, want := range map[string]string{
		mount(dir+"/file", "/opt/x"):                                   "",
		mount(dir+"/file", "/../../x"):                                 "is not an absolute path",
		mount(dir+"/file", "/a/../x"):                                  "is not an absolute path",
		mount(dir+"/file", "x"):                                        "is not an absolute path",
		mount(dir+"/file", "/"):                                        "is the sandbox's own",
		mount(dir+"/file", "//"):                                       "is the sandbox's own",
		mount(dir+"/file", "/dev/."):                                   "is the sandbox's own",
		mount(dir+"/file", "/proc/sys/kernel/core_pattern"):            "is the kernel's",
		mount(dir+"/file", "//sys"):                                    "is the kernel's",
		mount("/", "/host"):                                            "root directory is no device",
		mount("/.", "/host"):                                           "root directory is no device",
		mount(dir+"/slash", "/host"):                                   "root directory is no device",
		mount("/usr/..", "/host"):                                      "is not an absolute path",
		mount("/"+strings.Repeat("x", 70000), "/x"):                    "is not an absolute path",
		mount(dir+"/gone", "/x"):                                       "does not exist",
		`{mounts: [{hostPath: /x, containerPath: /x, type: overlay}]}`: `type "overlay" is not for devices`,
		`{deviceNodes: [{path: "` + dir + `/file"}]}`:                  "is not a device node",
		`{deviceNodes: [{path: /dev/null, type: b}]}`:                  "is not a device node",
		`{deviceNodes: [{path: /dev/gbuild-none}]}`:                    "cannot be used",
		`{deviceNodes: [{path: "/dev/../etc/passwd"}]}`:                "is not an absolute path",
		`{deviceNodes: [{path: /dev/null, hostPath: null0}]}`:          "is not an absolute path",
		hook(dir + "/hooks/ok"):                                        "",
		hook(dir + "/hooks/plain"):                                     "is not a program",
		hook(dir + "/hooks/open"):                                      "is not a program",
		hook(dir + "/hooks/link"):                                      "outside the directories of hooks",
		hook(dir + "/other/x"):                                         "outside the directories of hooks",
		hook("hooks/ok"):                                               "is not an absolute path",
		hook(dir + "/hooks/../other/x"):                                "is not an absolute path",
		hook(dir + "/hooks/none"):                                      "cannot be run",
		link(`create-symlinks, --link, "t::/a/b"`):                     "",
		link(`create-symlinks, "--link=t::/a/../b"`):                   "is not an absolute path",
		link(`create-symlinks, "--link=t"`):                            "is not target::path",
		link(`create-symlinks, "--link=t::/proc/self/x"`):              "is the kernel's",
		link(`update-ldcache, --folder, "/a\n/b"`):                     "a character that",
		link(`update-ldcache, --folder, ../b`):                         "is not an absolute path",
		link(`disable-device-node-modification`):                       "",
		link(`brand-new`):                                              "",
	} {
		spec := t.TempDir()
		writeFile(t, spec+"/s.yaml", "cdiVersion: 0.6.0\nkind: v.com/c\ndevices: [{name: x, containerEdits: "+edits+"}]\n", 0o644)
		c := openDir(t, dir+"/hooks", spec)
		_, err := c.Inject([]string{"v.com/c=x"}, InjectOptions{})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.120s: %v %v, want %q", edits, err, c.Errors, want)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}

func TestMountOptions(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "rbind nosuid nodev",
		"ro,nosuid,nodev,bind":        "ro nosuid nodev bind",
		"rbind,idmap,rw,dev,suid":     "rbind rw nosuid nodev",
		"ridmap,upperdir=/x,rprivate": "rbind rprivate nosuid nodev",
	} {
		if got := strings.Join(mountOptions(strings.Split(in, ",")), " "); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// A spec of another driver is replaced by one of this driver; a spec that fits is used as it is.
func TestStaleSpec(t *testing.T) {
	r := newFakeRoot(t).loaded(v580).driver(v580, debianLibs).gpu("0000:1b:00.0", 0, uuidA, "NVIDIA H100")
	spec := func(lib, node string) string {
		return "cdiVersion: 0.6.0\nkind: nvidia.com/gpu\ndevices: [{name: old, containerEdits: {deviceNodes: [{path: /dev/nvidia0, hostPath: " + r.dir + node +
			"}]}}]\ncontainerEdits: {mounts: [{hostPath: " + r.dir + lib + ", containerPath: /usr/lib/libcuda.so}]}\n"
	}
	r.library("/usr/lib64/libcuda.so.570.1", "libcuda.so.1")
	for _, c := range []struct{ lib, node, want string }{
		{debianLibs + "/libcuda.so." + v580, "/dev/nvidia0", ""},
		{"/usr/lib64/libcuda.so.570.1", "/dev/nvidia0", "it is of driver 570.1, running is 580.99.01"},
		{"/usr/lib64/libcuda.so.560.1", "/dev/nvidia0", "libcuda.so.560.1 does not exist"},
		{debianLibs + "/libcuda.so." + v580, "/dev/nvidia1", "nvidia1 does not exist"},
	} {
		dir := t.TempDir()
		writeFile(t, dir+"/n.yaml", spec(c.lib, c.node), 0o644)
		cat := openCatalog(context.Background(), []SpecDir{{Path: dir}}, r.host(), hookDirs)
		_, old := cat.devices["nvidia.com/gpu=old"]
		if old != (c.want == "") || c.want != "" && (len(cat.Notices) != 1 || !strings.Contains(cat.Notices[0], c.want) || len(cat.Names()) != 3) {
			t.Errorf("%+v: %v %q", c, cat.Names(), cat.Notices)
		}
	}
}

func TestHostDevice(t *testing.T) {
	if !exists("/dev/zero") {
		t.Skip("no /dev/zero here")
	}
	for in, want := range map[string]string{
		"/dev/zero": "/dev/zero on /dev/zero", "/dev/zero:r": "!can be read and written to", "/dev/zero:/dev/zero:rw": "/dev/zero on /dev/zero",
		"/dev/zero:/dev/x": "/dev/zero on /dev/x", "/dev/zero:/dev/x:rw": "/dev/zero on /dev/x", "zero:/dev/x": "!no absolute path",
		"dev/zero": "!invalid device", "/dev/zero:q": "!invalid device", "/dev/zero:": "!invalid device", "/a:/b:r:w": "!invalid device", "": "!invalid device",
		"/dev/gbuild-none": "!cannot be used", "/etc/passwd": "!is not a device node", "/dev/zero:/proc/x": "!is the kernel's", t.TempDir(): "!no device node",
	} {
		e, err := HostDevice(in)
		got := ""
		if err != nil {
			got = "!" + err.Error()
		}
		for _, d := range e.Devices {
			got += d.Source + " on " + d.Target
		}
		if got != want && (want[0] != '!' || err == nil || !strings.Contains(got, want[1:])) {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// Whoever asks about the driver, it is looked for but once: nvidia-smi alone takes longer than a container's start.
func TestDriverIsLookedForOnce(t *testing.T) {
	r := newFakeRoot(t).loaded("580.99.01").driver("580.99.01", "/usr/lib64").gpu("0000:1b:00.0", 0, "GPU-????????", "NVIDIA H200")
	r.script("/usr/bin/nvidia-smi", "#!/bin/sh\necho asked >>"+r.dir+"/asked\n")
	c := openCatalog(context.Background(), nil, r.host(), nil)
	for range 2 {
		if err := c.CheckRequirements([]string{"NVIDIA_REQUIRE_CUDA=cuda>=99"}); err == nil || !strings.Contains(err.Error(), "image needs cuda>=99; host driver 580.99.01") {
			t.Error(err)
		}
	}
	if asked, err := os.ReadFile(r.dir + "/asked"); string(asked) != "asked\n" {
		t.Errorf("%q, %v", asked, err)
	}
	// A host without one has nothing to compare with.
	if err := openDir(t, "").CheckRequirements([]string{"NVIDIA_REQUIRE_CUDA=cuda>=99"}); err != nil {
		t.Error(err)
	}
}
