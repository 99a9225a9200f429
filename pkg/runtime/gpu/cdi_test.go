package gpu

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	oci "github.com/opencontainers/runtime-spec/specs-go"
	"tags.cncf.io/container-device-interface/pkg/cdi"

	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// specText is a spec with parts in their places: its version, kind, the name of a device, the edits of that, and more on the first level.
func specText(version, kind, name, edits, more string) string {
	return fmt.Sprintf("cdiVersion: %q\nkind: %q\ndevices:\n- name: %q\n  containerEdits: %s\n%s", version, kind, name, edits, more)
}

// TestValidityOfCDI holds what is taken for a spec against CDI's own library. A spec that only gbuild refuses is marked.
func TestValidityOfCDI(t *testing.T) {
	const env = "{env: [A=b]}"
	edits := func(e string) string { return specText("1.1.0", "v.com/c", "x", e, "") }
	versioned := func(version, e string) string { return specText(version, "v.com/c", "x", e, "") }
	kind := func(k string) string { return specText("0.6.0", k, "x", env, "") }
	name := func(n string) string { return specText("0.6.0", "v.com/c", n, env, "") }
	var texts []string
	for _, v := range []string{"", "0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0", "1.2.0", "0.0.0", "99.0.0", "v0.6.0", "0.6", "0.6.0-rc1", "x", "0.6.0 "} {
		texts = append(texts, versioned(v, env))
	}
	for _, k := range []string{"", "v.com", "/c", "v.com/", "v.com/c/d", "v/c", "v.com/c.d", "v.com/c-d", "v.com/c_d", "-v.com/c", "v.com-/c", "v.com/-c", "v.com/c-", "v com/c", "v.com/c=x", "V.COM/C", "1v.com/c", "v.com/1c", "v_x.com/c",
		"vendor.com/class.subclass", "v.com/c.", "nvidia.com/gpu", "v\x00.com/c", strings.Repeat("v", 300) + ".com/c", "v.com/" + strings.Repeat("c", 300)} {
		texts = append(texts, kind(k))
	}
	for _, n := range []string{"", "0", "x", "x:y", "x.y", "x_y", "x-y", "x y", "x/y", "x=y", "-x", "x-", ":x", "x:", "GPU-1234", "MIG-GPU-1/2/3", "all", "0:0", "x\n", "ü", strings.Repeat("x", 300)} {
		texts = append(texts, name(n))
	}
	for _, e := range []string{
		"{}", "null", "{env: []}", "{env: [A=]}", "{env: [A]}", "{env: ['']}", "{env: [=b]}", "{env: ['A=b=c']}", "{env: [A=b, A=c]}", "{env: A=b}", "{environment: [A=b]}",
		"{deviceNodes: [{path: /dev/x}]}", "{deviceNodes: [{path: ''}]}", "{deviceNodes: [{hostPath: /dev/x}]}", "{deviceNodes: []}",
		"{deviceNodes: [{path: /dev/x, type: c}]}", "{deviceNodes: [{path: /dev/x, type: b}]}", "{deviceNodes: [{path: /dev/x, type: u}]}", "{deviceNodes: [{path: /dev/x, type: p}]}", "{deviceNodes: [{path: /dev/x, type: d}]}",
		"{deviceNodes: [{path: /dev/x, permissions: rwm}]}", "{deviceNodes: [{path: /dev/x, permissions: r}]}", "{deviceNodes: [{path: /dev/x, permissions: rx}]}", "{deviceNodes: [{path: /dev/x, permissions: none}]}",
		"{deviceNodes: [{path: /dev/x, major: 1, minor: 2, fileMode: 438, uid: 1, gid: 2}]}", "{deviceNodes: [{path: /dev/x, major: a}]}", "{deviceNodes: [{path: /dev/x, hostPath: /dev/y}]}",
		"{mounts: [{hostPath: /a, containerPath: /b}]}", "{mounts: [{hostPath: '', containerPath: /b}]}", "{mounts: [{hostPath: /a, containerPath: ''}]}", "{mounts: [{hostPath: /a}]}", "{mounts: [{hostPath: /a, containerPath: /b, options: [ro, nosuid], type: bind}]}",
		"{mounts: [{hostPath: /a, containerPath: /b, options: ro}]}", "{mounts: [{host: /a, containerPath: /b}]}",
		"{hooks: [{hookName: createContainer, path: /x}]}", "{hooks: [{hookName: prestart, path: /x}]}", "{hooks: [{hookName: createRuntime, path: /x}]}", "{hooks: [{hookName: startContainer, path: /x}]}", "{hooks: [{hookName: poststart, path: /x}]}", "{hooks: [{hookName: poststop, path: /x}]}",
		"{hooks: [{hookName: prestop, path: /x}]}", "{hooks: [{hookName: '', path: /x}]}", "{hooks: [{hookName: createContainer}]}", "{hooks: [{hookName: createContainer, path: /x, args: [x, y], env: [A=b], timeout: 5}]}",
		"{hooks: [{hookName: createContainer, path: /x, env: [A]}]}", "{hooks: [{hookName: createContainer, path: /x, env: [=b]}]}", "{hooks: [{hookName: createContainer, path: /x, timeout: x}]}",
		"{additionalGids: [44]}", "{additionalGids: [0]}", "{additionalGids: [-1]}", "{additionalGids: [x]}", "{additionalGids: []}",
		"{intelRdt: {closID: a}}", "{intelRdt: {closID: /}}", "{intelRdt: {closID: a/b}}", "{intelRdt: {closID: .}}", "{intelRdt: {closID: ..}}", `{intelRdt: {closID: "a\nb"}}`, "{intelRdt: {closID: a, l3CacheSchema: x, memBwSchema: y}}", "{intelRdt: {}}",
		"{intelRdt: {closID: a, enableMonitoring: true}}", "{intelRdt: {closID: a, schemata: [x]}}",
		"{netDevices: [{hostInterfaceName: eth0, name: eth1}]}", "{netDevices: [{hostInterfaceName: '', name: eth1}]}", "{netDevices: [{hostInterfaceName: eth0, name: ''}]}",
		"{netDevices: [{hostInterfaceName: eth0, name: a}, {hostInterfaceName: eth0, name: b}]}", "{netDevices: [{hostInterfaceName: eth0, name: a}, {hostInterfaceName: eth1, name: a}]}",
	} {
		texts = append(texts, edits(e), versioned("0.5.0", e))
	}
	for _, more := range []string{"annotations: {a.b/c: d}", "annotations: {'': d}", "annotations: {-a: d}", "annotations: {a/b/c: d}", "annotations: {a: 1}", "containerEdits: {env: [A=b]}", "containerEdits: {env: [A]}", "containerEdits: {}", "extra: 1", "devices: []",
		"containerEdits: {deviceNodes: [{path: ''}]}", "containerEdits: {hooks: [{hookName: x, path: /x}]}"} {
		texts = append(texts, specText("1.0.0", "v.com/c", "x", env, more+"\n"))
	}
	device := "- name: y\n  containerEdits: {env: [A=b]}\n"
	for _, more := range []string{device, strings.Replace(device, "y", "x", 1), "- name: y\n", "- name: y\n  annotations: {a.b/c: d}\n  containerEdits: {env: [A=b]}\n", "- name: y\n  annotations: {'a b': d}\n  containerEdits: {env: [A=b]}\n",
		"- containerEdits: {env: [A=b]}\n", "- name: y\n  containerEdits: {env: [A=b]}\n  more: 1\n"} {
		texts = append(texts, specText("1.0.0", "v.com/c", "x", env, more))
	}
	texts = append(texts, "", "{}", "null", "[]", "text", "{", "cdiVersion: 0.6.0", "cdiVersion: 0.6.0\nkind: v.com/c\n", "cdiVersion: 0.6.0\nkind: v.com/c\ndevices: []\n", "cdiVersion: 0.6.0\nkind: v.com/c\ndevices: x\n",
		`{"cdiVersion": "0.6.0", "kind": "v.com/c", "devices": [{"name": "x", "containerEdits": {"env": ["A=b"]}}]}`, "---\n"+kind("v.com/c"), kind("v.com/c")+"---\n"+kind("v.com/d"), strings.ReplaceAll(kind("v.com/c"), "\n", "\r\n"), "\xef\xbb\xbf"+kind("v.com/c"))
	dir := t.TempDir()
	file := path.Join(dir, "s.yaml")
	for _, text := range texts {
		writeFile(t, file, text, 0o644)
		_, want := cdi.ReadSpec(file, 0)
		_, _, got := readSpec(file, false)
		if (got == nil) != (want == nil) {
			t.Errorf("gbuild: %v, CDI: %v, of\n%s", got, want, text)
		}
	}
	t.Logf("%d specs", len(texts))
}

// TestInjectionOfCDI holds the edits of a sandbox against what CDI's own library makes of the same devices.
func TestInjectionOfCDI(t *testing.T) {
	if !exists("/dev/zero") || !exists("/dev/full") {
		t.Skip("no /dev/zero and /dev/full here")
	}
	files := newFakeRoot(t).file("/a", "").file("/b", "").script("/bin/hook", "#!/bin/sh\n")
	one := strings.NewReplacer("FILES", files.dir).Replace(`cdiVersion: 1.1.0
kind: v.com/c
containerEdits: {env: [COMMON=1, X=common], mounts: [{hostPath: FILES/a, containerPath: /opt/lib/common, options: [ro, bind]}]}
devices:
- {name: env, containerEdits: {env: [X=device, "Y=a=b", Y=last]}}
- {name: node, containerEdits: {deviceNodes: [{path: /dev/zero}]}}
- {name: renamed, containerEdits: {deviceNodes: [{path: /dev/other, hostPath: /dev/full}]}}
- {name: again, containerEdits: {deviceNodes: [{path: /dev/other, hostPath: /dev/zero}]}}
- {name: none, containerEdits: {deviceNodes: [{path: /dev/zero, permissions: none}]}}
- {name: mounts, containerEdits: {mounts: [{hostPath: FILES/a, containerPath: /x/y/z, options: [ro]}, {hostPath: FILES/b, containerPath: /x}, {hostPath: FILES/b, containerPath: /q/r}]}}
- {name: over, containerEdits: {mounts: [{hostPath: FILES/b, containerPath: /opt/lib/common, options: [ro, bind]}]}}
- {name: hooks, containerEdits: {hooks: [{hookName: createContainer, path: FILES/bin/hook, args: [hook, one]}, {hookName: poststop, path: FILES/bin/hook, args: [hook, two], env: [A=b], timeout: 3}, {hookName: createContainer, path: FILES/bin/hook, args: [hook, three]}]}}
- {name: gids, containerEdits: {additionalGids: [44, 44, 0, 45]}}
- {name: all, containerEdits: {env: [Z=1], deviceNodes: [{path: /dev/zero}, {path: /dev/full}], mounts: [{hostPath: FILES/a, containerPath: /z}], hooks: [{hookName: prestart, path: FILES/bin/hook}]}}
`)
	two := strings.NewReplacer("FILES", files.dir).Replace(`{"cdiVersion": "0.6.0", "kind": "w.org/d.e", "containerEdits": {"env": ["X=other"]}, "devices": [
{"name": "0", "containerEdits": {"mounts": [{"hostPath": "FILES/b", "containerPath": "/opt/lib/common", "options": ["rbind", "ro", "nosuid"]}]}}]}`)
	low, high := t.TempDir(), t.TempDir()
	writeFile(t, low+"/one.yaml", one, 0o644)
	writeFile(t, low+"/two.json", two, 0o644)
	writeFile(t, high+"/shadow.yaml", specText("0.6.0", "v.com/c", "node", "{env: [SHADOW=1], deviceNodes: [{path: /dev/full}]}", ""), 0o644)
	ours := openDir(t, files.dir+"/bin", low, high)
	theirs, err := cdi.NewCache(cdi.WithAutoRefresh(false), cdi.WithSpecDirs(low, high))
	if err != nil {
		t.Fatal(err)
	}
	cases := [][]string{{"v.com/c=env"}, {"v.com/c=node"}, {"v.com/c=renamed"}, {"v.com/c=renamed", "v.com/c=again"}, {"v.com/c=again", "v.com/c=renamed"}, {"v.com/c=none"}, {"v.com/c=mounts"}, {"v.com/c=over"},
		{"v.com/c=hooks"}, {"v.com/c=gids"}, {"v.com/c=all"}, {"w.org/d.e=0"}, {"w.org/d.e=0", "v.com/c=env"}, {"v.com/c=env", "w.org/d.e=0"}, {"v.com/c=env", "v.com/c=env"},
		{"v.com/c=env", "v.com/c=node", "v.com/c=renamed", "v.com/c=mounts", "v.com/c=hooks", "v.com/c=all", "w.org/d.e=0"}, {"v.com/c=gone"}, {"v.com/c=env", "v.com/d=x", "u.com/c=x"}, {"x"}, {}}
	for _, names := range cases {
		spec := &oci.Spec{Process: &oci.Process{Env: []string{"X=container", "KEPT=1"}}, Linux: &oci.Linux{}}
		_, want := theirs.InjectDevices(spec, names...)
		e, got := ours.Inject(names, InjectOptions{Env: []string{"X=container", "KEPT=1"}})
		if (got == nil) != (want == nil) || got != nil && got.Error() != want.Error() {
			t.Errorf("%v: %v, want %v", names, got, want)
			continue
		}
		if got != nil {
			continue
		}
		var a, b []string
		for _, v := range spec.Process.Env {
			if v != "X=container" && v != "KEPT=1" {
				a = append(a, "env "+v)
			}
		}
		for _, d := range spec.Linux.Devices {
			a = append(a, "node "+d.Path)
		}
		for _, m := range spec.Mounts { // with what gbuild adds to each
			a = append(a, fmt.Sprint("mount ", m.Source, " ", m.Destination, " ", mountOptions(m.Options)))
		}
		if h := spec.Hooks; h != nil {
			for when, list := range map[string][]oci.Hook{"prestart": h.Prestart, "createRuntime": h.CreateRuntime, "createContainer": h.CreateContainer, "startContainer": h.StartContainer, "poststart": h.Poststart, "poststop": h.Poststop} { //nolint:staticcheck // CDI has it
				for _, one := range list {
					a = append(a, fmt.Sprint("hook ", when, " ", one.Path, one.Args, one.Env))
				}
			}
		}
		for _, v := range e.Env {
			b = append(b, "env "+v)
		}
		for _, d := range e.Devices {
			b = append(b, "node "+d.Target)
		}
		for _, m := range e.Mounts {
			b = append(b, fmt.Sprint("mount ", m.Source, " ", m.Target, " ", m.Options))
		}
		for _, h := range e.Hooks {
			if slices.Equal(h.Env, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}) { // where a spec has none
				h.Env = nil
			}
			b = append(b, fmt.Sprint("hook ", h.When, " ", h.Path, h.Args, h.Env))
		}
		for _, g := range spec.Process.User.AdditionalGids {
			a = append(a, fmt.Sprint("group ", g))
		}
		for _, g := range e.Groups {
			b = append(b, fmt.Sprint("group ", g))
		}
		if host.OwnerOutside() != 0 { // numbers of groups mean something else in other namespaces
			a = slices.DeleteFunc(a, func(s string) bool { return strings.HasPrefix(s, "group ") })
		}
		slices.Sort(a)
		slices.Sort(b)
		if !slices.Equal(a, b) {
			t.Errorf("%v: gbuild\n%s\nCDI\n%s", names, strings.Join(b, "\n"), strings.Join(a, "\n"))
		}
		if order := func(i, j string) int { return strings.Count(i, "/") - strings.Count(j, "/") }; !slices.IsSortedFunc(targets(e.Mounts), order) {
			t.Errorf("%v: mounts out of order: %v", names, e.Mounts)
		}
	}
}

func targets(mounts []runtime.DeviceMount) []string {
	out := make([]string, len(mounts))
	for i, m := range mounts {
		out[i] = m.Target
	}
	return out
}
