// This file owns the builders: how each is called, and which of its ways works here.

package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
)

// tool is a builder, and one way to run it.
type tool struct {
	name, how  string // how says in words what of it was chosen here
	needs      []string
	root       bool     // its commands run as the caller, not as the ordinary user
	env        []string // more than PATH, HOME and USER
	watch      []string // names of its executables
	dirs       []string // what it keeps, and forgets when they are gone
	daemon     *daemon  // nil for most
	version    []string // the command that says it
	build      func(job) [][]string
	runs       func(ref, network string) []string // starts /bin/true in the image; nil: cannot
	unknown    string                             // why it cannot be measured here; empty when it can
	versionSay string
}

// job is one build.
type job struct {
	dir, ref string
	push     bool
	args     []string // NAME=VALUE for ARG
}

func (j job) flags(flag string) []string {
	var out []string
	for _, a := range j.args {
		out = append(out, flag, a)
	}
	return out
}

// join makes one command of its parts.
func join(parts ...[]string) []string {
	var out []string
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func words(s string) []string { return strings.Fields(s) }

// candidates are the ways to run each builder, the better first: of each name the first that can build is measured.
func (b *bench) candidates() []*tool {
	all := []*tool{b.gbuildTool()}
	for _, name := range []string{"buildah", "podman"} {
		for _, root := range []bool{false, true} {
			for _, isolation := range []string{"oci --runtime=runc", "oci --runtime=crun", "chroot"} {
				all = append(all, b.buildahTool(name, isolation, root))
			}
		}
	}
	all = append(all, b.dockerTool("docker (BuildKit)", "1"), b.dockerTool("docker (classic)", "0"))
	return append(all, b.buildkitTool())
}

func (b *bench) gbuildTool() *tool {
	dir := filepath.Join(b.dir, "gbuild")
	base := []string{b.gbuild, "--root", dir + "/state", "--cache-dir", dir + "/caches"}
	return &tool{
		name: "gbuild", watch: []string{filepath.Base(b.gbuild)}, dirs: []string{dir}, version: []string{b.gbuild, "version"},
		build: func(j job) [][]string {
			argv := join(base, words("build --progress plain --network host -t"), []string{j.ref}, j.flags("--build-arg"))
			if j.push {
				argv = append(argv, "--push")
			}
			return [][]string{append(argv, j.dir)}
		},
		runs: func(ref, network string) []string { return join(base, runArgs(ref, network)) },
	}
}

// runArgs start /bin/true in a network: "none", or "default" for whatever the tool does by itself.
func runArgs(ref, network string) []string {
	if network == "default" {
		return []string{"run", "--rm", ref, "/bin/true"}
	}
	return []string{"run", "--rm", "--network", network, ref, "/bin/true"}
}

// buildahTool is buildah or podman, which share their code and most flags.
func (b *bench) buildahTool(name, isolation string, root bool) *tool {
	dir := filepath.Join(b.dir, name)
	base := []string{name, "--root", dir + "/root", "--runroot", dir + "/run", "--storage-driver", "overlay"}
	if _, runtime, ok := strings.Cut(isolation, "--runtime="); ok && name == "podman" {
		base, isolation = append(base, "--cgroup-manager", "cgroupfs", "--runtime", runtime), "oci"
	}
	t := &tool{
		name: name, how: "--isolation=" + isolation, needs: []string{name}, root: root, watch: []string{name}, dirs: []string{dir}, version: []string{name, "--version"},
		build: func(j job) [][]string {
			build := join(base, words("build --layers --network host --tls-verify=false"), words("--isolation "+isolation),
				[]string{"--signature-policy", b.policy, "-t", j.ref}, j.flags("--build-arg"), []string{j.dir})
			if !j.push {
				return [][]string{build}
			}
			return [][]string{build, join(base, words("push -q --tls-verify=false --signature-policy"), []string{b.policy, j.ref})}
		},
	}
	if name == "podman" {
		t.runs = func(ref, network string) []string { return join(base, runArgs(ref, network)) }
	}
	return t
}

func (b *bench) dockerTool(name, buildkit string) *tool {
	dir := filepath.Join(b.dir, "docker"+buildkit)
	base := []string{dockerClient(buildkit), "--host", "unix://" + dir + "/sock"}
	return &tool{
		name: name, how: "its own dockerd, --iptables=false", needs: []string{"docker", "dockerd"}, root: true, env: []string{"DOCKER_BUILDKIT=" + buildkit},
		watch: []string{filepath.Base(base[0])}, dirs: []string{dir + "/data"}, daemon: &daemon{dir: dir}, version: []string{"dockerd", "--version"},
		build: func(j job) [][]string {
			build := join(base, words("build --network host -t"), []string{j.ref}, j.flags("--build-arg"), []string{j.dir})
			if !j.push {
				return [][]string{build}
			}
			return [][]string{build, join(base, []string{"push", "-q", j.ref})}
		},
	}
}

// dockerClient is the client on PATH that speaks to BuildKit by itself: newer ones need a plugin for that.
func dockerClient(buildkit string) string {
	for _, dir := range filepath.SplitList(osPath()) {
		path := filepath.Join(dir, "docker")
		cmd := exec.Command(path, "build", "--help")
		cmd.Env = []string{"DOCKER_BUILDKIT=" + buildkit, "PATH=" + osPath()}
		if out, err := cmd.CombinedOutput(); err == nil && (buildkit == "0" || strings.Contains(string(out), "--progress")) {
			return path
		}
	}
	return "docker"
}

func (b *bench) buildkitTool() *tool {
	dir := filepath.Join(b.dir, "buildkit")
	return &tool{
		name: "buildkit", how: "buildctl-daemonless.sh", needs: []string{"buildctl-daemonless.sh"}, watch: words("buildkitd buildctl"), dirs: []string{dir},
		env:     []string{"BUILDKITD_FLAGS=--root=" + dir + " --oci-worker-no-process-sandbox --allow-insecure-entitlement=network.host"},
		version: []string{"buildctl", "--version"},
		build: func(j job) [][]string {
			output := "type=image,name=" + j.ref
			if j.push {
				output += ",push=true,registry.insecure=true"
			}
			argv := join(words("buildctl-daemonless.sh build --progress plain --frontend dockerfile.v0 --allow network.host --opt force-network-mode=host"),
				[]string{"--local", "context=" + j.dir, "--local", "dockerfile=" + j.dir, "--output", output})
			for _, a := range j.args {
				argv = append(argv, "--opt", "build-arg:"+a)
			}
			return [][]string{argv}
		},
	}
}

// choose keeps the first candidate of each name that builds a tiny image here, and says of the others why not.
func (b *bench) choose(ctx context.Context) error {
	refused := map[string]*tool{}
	for _, t := range b.candidates() {
		if b.tool(t.name) != nil || !b.wants(t) {
			continue
		}
		t.unknown = b.probe(ctx, t)
		if t.unknown == "" {
			delete(refused, t.name)
			delete(b.results.Absent, t.name)
			b.tools = append(b.tools, t)
			b.say("%s: %s %s%s", t.name, t.versionSay, t.how, asRoot(t))
		} else if refused[t.name] == nil {
			refused[t.name] = t
		}
	}
	for _, t := range refused {
		b.say("%s: left out: %s", t.name, t.unknown)
		b.results.Absent[t.name] = t.unknown
	}
	return b.results.save()
}

func asRoot(t *tool) string {
	if t.root {
		return ", as root"
	}
	return ", as an ordinary user"
}

// probe returns why t cannot build here, or nothing.
func (b *bench) probe(ctx context.Context, t *tool) string {
	for _, name := range t.needs {
		if _, err := exec.LookPath(name); err != nil {
			return "not installed"
		}
	}
	if t.root && !b.isRoot {
		return "needs root"
	}
	if err := b.forget(ctx, t); err != nil {
		return err.Error()
	}
	out, err := b.as(ctx, t, t.version...).Output()
	if err != nil {
		return "does not say its version"
	}
	t.versionSay = strings.TrimSpace(string(out))
	b.results.Tools[t.name] = toolFacts{Version: t.versionSay, How: strings.TrimPrefix(t.how+asRoot(t), ", ")}
	_, err = b.measure(ctx, t, b.log(t, "probe"), false, t.build(job{dir: b.contexts + "/probe", ref: b.ref("probe", t), push: true})...)
	if err != nil {
		delete(b.results.Tools, t.name)
		return err.Error()
	}
	return ""
}
