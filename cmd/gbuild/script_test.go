package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/testimage"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// TestScript runs testdata/script: one behaviour of gbuild each, in real sandboxes, with a registry, a package index and
// directories of its own.
func TestScript(t *testing.T) {
	shellImage(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", Setup: setUpScript, Condition: condition, RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"registry": registryCommand, "git-serve": gitServeCommand, "web-serve": webServeCommand, "ssh-serve": sshServeCommand, "wheel": wheelCommand, "wheels": wheelsCommand, "listen": listenCommand,
			"config": configCommand, "layers": layersCommand, "tree": treeCommand, "contents": contentsCommand,
			"verify": verifyCommand, "steps": stepsCommand, "code": codeCommand, "signal": signalCommand,
			"nothing-left": nothingLeftCommand, "hides": hidesCommand, "remote": remoteCommand, "small": smallCommand, "device-image": deviceImageCommand, "help-pages": helpPagesCommand,
		},
	})
}

// world is what a script has beside its directory.
type world struct {
	registry *testimage.Registry
	index    *testimage.Index
	env      *testscript.Env
}

// worldKey finds the world among a script's values.
type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func setUpScript(e *testscript.Env) error {
	w := &world{registry: testimage.NewRegistry(), env: e}
	e.Defer(w.registry.Close)
	e.Defer(func() { removeTree(e.WorkDir) })
	e.Values[worldKey{}] = w
	shell, err := testimage.Shell()
	if err != nil {
		return err
	}
	if err := putBases(w.registry, shell); err != nil {
		return err
	}
	index, err := testimage.NewIndex(scriptWheels()...)
	if err != nil {
		return err
	}
	w.index = index
	server := httptest.NewServer(index)
	e.Defer(server.Close)
	for name, value := range map[string]string{
		"REGISTRY":         w.registry.Host(),
		"SHELL_IMAGE":      w.registry.Host() + "/base/shell:1",
		"INDEX":            server.URL + "/simple/",
		"PYTHON_LAYOUT":    pythonLayout(),
		"HOME":             filepath.Join(e.WorkDir, "home"),
		"DOCKER_CONFIG":    filepath.Join(e.WorkDir, "docker"),
		"XDG_DATA_HOME":    filepath.Join(e.WorkDir, "data"),
		"XDG_CACHE_HOME":   filepath.Join(e.WorkDir, "cache"),
		"XDG_RUNTIME_DIR":  filepath.Join(e.WorkDir, "home"),
		"GBUILD_ROOT":      filepath.Join(e.WorkDir, "state"),
		"GBUILD_CACHE_DIR": filepath.Join(e.WorkDir, "caches"),

		"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
	} {
		e.Setenv(name, value)
	}
	return errors.Join(os.Mkdir(filepath.Join(e.WorkDir, "home"), 0o755), nameRegistry(e.WorkDir, w.registry.Host()))
}

// putBases stores base/shell:1, and base/foreign:1, an index that has it for a machine that nobody has.
func putBases(r *testimage.Registry, shell v1.Image) error {
	if _, err := r.Put(context.Background(), "base/shell:1", shell); err != nil {
		return err
	}
	foreign, err := name.ParseReference(r.Host() + "/base/foreign:1")
	if err != nil {
		return err
	}
	return remote.WriteIndex(foreign, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add: shell, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "mips64le"}}}))
}

// nameRegistry lets the Dockerfiles of a script say $REGISTRY.
func nameRegistry(dir, host string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.Contains(d.Name(), "Dockerfile") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "$REGISTRY", host)), 0o644)
	})
}

func scriptWheels() []testimage.Wheel {
	return []testimage.Wheel{
		{Name: "agent-tools", Version: "1.2", Requires: []string{"agent-base>=1"}, Files: map[string]string{"agent_tools.py": "import agent_base\n"}},
		{Name: "agent-base", Version: "1.0", Files: map[string]string{"agent_base.py": "ok = True\n"}},
	}
}

// removeTree removes files of subordinate ids, which takes a namespace that has them; the testscript package removes
// what is left.
func removeTree(dir string) {
	if os.Getuid() != 0 {
		_ = exec.Command("unshare", "--map-root-user", "--map-auto", "rm", "-rf", dir).Run()
	}
}

// pythonLayout is the base with Python, which the first test that asks makes; "" where it cannot be had.
var pythonLayout = sync.OnceValue(func() string {
	cache := os.Getenv("GBUILD_TEST_CACHE")
	if cache == "" {
		return ""
	}
	path, err := testimage.PythonLayout(context.Background(), cache)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests with Python are left out:", err)
		return ""
	}
	return path
})

func condition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Geteuid() == 0, nil
	case "busybox":
		_, err := testimage.Shell()
		return err == nil, nil
	case "python":
		return pythonLayout() != "", nil
	case "docker":
		return exec.Command("docker", "info", "--format", "{{.ServerVersion}}").Run() == nil, nil
	case "skopeo", "git", "ssh":
		_, err := exec.LookPath(name)
		return err == nil, nil
	case "limits":
		return canLimit(), nil
	case "nvidia":
		_, err := os.Stat("/proc/driver/nvidia")
		return err == nil, nil
	case "private-network":
		return host.Probe().PrivateNetwork() == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// canLimit says whether this user can have a control group for every limit.
func canLimit() bool {
	group, err := runtime.MakeCgroup(fmt.Sprint("probe-", os.Getpid()), runtime.Limits{Memory: 64 << 20, CPUs: 1, Pids: 100})
	return err == nil && group.Remove() == nil
}

// registryCommand is registry stop | heal | fail N METHOD-AND-PATH STATUS | login USER PASSWORD | truncate N | spoil | requests.
func registryCommand(ts *testscript.TestScript, neg bool, args []string) {
	r := worldOf(ts).registry
	var n, status int
	switch strings.Join(args[:1], "") {
	case "stop":
		r.Close()
	case "heal":
		r.SetFault(nil)
	case "fail":
		_, err1 := fmt.Sscan(args[1], &n)
		_, err2 := fmt.Sscan(args[3], &status)
		ts.Check(errors.Join(err1, err2))
		r.SetFault(testimage.FailTimes(n, args[2], status))
	case "login":
		r.SetFault(testimage.Login(args[1], args[2]))
	case "truncate":
		_, err := fmt.Sscan(args[1], &n)
		ts.Check(err)
		r.SetFault(testimage.Truncate(n))
	case "spoil":
		r.SpoilLayers()
	case "requests":
		fmt.Fprintln(ts.Stdout(), strings.Join(r.Requests(), "\n"))
	default:
		ts.Fatalf("registry %q", args)
	}
}

// gitServeCommand serves the repositories below a directory over http, by git itself, at $GIT_URL: git-serve DIR [TOKEN].
// With a token, who does not give it is refused.
func gitServeCommand(ts *testscript.TestScript, neg bool, args []string) {
	git, err := testimage.GitOverHTTP(ts.MkAbs(args[0]))
	ts.Check(err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); len(args) > 1 && password != args[1] {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		git.ServeHTTP(w, r)
	}))
	ts.Defer(server.Close)
	ts.Setenv("GIT_URL", server.URL)
}

// webServeCommand serves the files of a directory over http at $WEB_URL: web-serve DIR.
func webServeCommand(ts *testscript.TestScript, neg bool, args []string) {
	server := httptest.NewServer(http.FileServer(http.Dir(ts.MkAbs(args[0]))))
	ts.Defer(server.Close)
	ts.Setenv("WEB_URL", server.URL)
}

// listenCommand listens on the host's loopback and answers "host was reached"; the port is $PORT.
func listenCommand(ts *testscript.TestScript, neg bool, args []string) {
	server := httptest.NewServer(sayer("host was reached"))
	ts.Defer(server.Close)
	ts.Setenv("PORT", server.URL[strings.LastIndex(server.URL, ":")+1:])
}

// wheelCommand writes one of the index's wheels: wheel FILE NAME.
func wheelCommand(ts *testscript.TestScript, neg bool, args []string) {
	for _, w := range scriptWheels() {
		if w.Name == args[1] {
			data, err := w.Bytes()
			ts.Check(err)
			ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
			return
		}
	}
	ts.Fatalf("no wheel %s", args[1])
}

// wheelsCommand prints the wheels that the index has sent since the last time, a line each.
func wheelsCommand(ts *testscript.TestScript, neg bool, args []string) {
	fmt.Fprintln(ts.Stdout(), strings.Join(testimage.Wheels(worldOf(ts).index.Log()), "\n"))
}

// smallCommand mounts a tmpfs of so many MiB on a directory, or gives the one that is there another size.
func smallCommand(ts *testscript.TestScript, neg bool, args []string) {
	dir, size := ts.MkAbs(args[0]), "size="+args[1]+"m"
	err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, size)
	if err != nil {
		ts.Check(unix.Mount("tmpfs", dir, "tmpfs", 0, size+",mode=0700"))
		ts.Defer(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	}
}
