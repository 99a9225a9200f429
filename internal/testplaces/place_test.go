// This file owns what a place is: commands around the command, and what builds come to in it.

package testplaces

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// place is a row of the table.
type place struct {
	name   string     // for -run, and for the image that is pushed
	title  string     // as people would call it, for the page
	needs  []string   // abilities that not every machine has
	around [][]string // commands around the command, outermost first; see expand
	image  string     // the kind of image, for a container of Docker
	tree   bool       // whether it needs $DIR.root, a tree with a shell
	env    []string   // variables of gbuild beside the usual ones, which they may replace; NAME= takes one away
	want   want
}

// want is what the builds come to: the exit status of (a), (b) and (c), and what is said about it.
type want struct {
	mode    string // as gbuild doctor names it
	a, b, c int
	agent   int      // what (c) ends with as people have it, where that is not what it ends with here
	says    []string // words of (b): how it is executed where that is not the best way, or why not, and what to do
}

// ordinary is the user with subordinate ids that scripts/setup.sh makes.
var ordinary = func() string {
	if name := os.Getenv("GBUILD_TEST_USER"); name != "" {
		return name
	}
	return "tester"
}()

// asOrdinary becomes the user with subordinate ids.
var asOrdinary = []string{"setpriv", "--reuid", ordinary, "--regid", ordinary, "--init-groups"}

// as becomes a user that is in no file.
func as(uid, gid string, more ...string) []string {
	return append([]string{"setpriv", "--reuid", uid, "--regid", gid, "--clear-groups"}, more...)
}

// without takes capabilities from root, for good.
func without(capabilities string) []string {
	return []string{"setpriv", "--inh-caps", capabilities, "--bounding-set", capabilities}
}

// prepared executes a text of the shell first, in a mount namespace that nobody else sees.
func prepared(text string) []string {
	return []string{"unshare", "--mount", "--propagation", "private", "sh", "-c", "set -e; " + text + "\n" + `exec "$@"`, "sh"}
}

// shell executes a text of the shell first.
func shell(text string) []string {
	return []string{"sh", "-c", "set -e; " + text + "\n" + `exec "$@"`, "sh"}
}

// behind puts a filter of system calls around the command.
func behind(filter string) []string { return []string{"$WORLD/self", filterWord, filter} }

// inDocker is a container in which the place's directory has the same path.
func inDocker(options ...[]string) []string {
	run := []string{"docker", "run", "--rm", "--name", "$CONTAINER", "--network", "host", "-v", "$DIR:$DIR", "-v", "$WORLD/gbuild:/usr/bin/gbuild:ro"}
	return slices.Concat(run, slices.Concat(options...), []string{"$IMAGE"})
}

// inPodman is the same by podman without root.
func inPodman(options ...string) []string {
	run := []string{"env", "-i", "HOME=$DIR/area/home", "PATH=" + os.Getenv("PATH"), "podman", "--runtime", "runc", "run", "--rm", "--network", "host",
		"-v", "$DIR:$DIR", "-v", "$WORLD/gbuild:/usr/bin/gbuild:ro"}
	return slices.Concat(run, options, []string{"--rootfs", "$DIR.root"})
}

// made is a place that exists.
type made struct {
	*place
	world *world
	dir   string
	image string
	ran   int
}

// make gives the place a directory: area, where the builds may write, with the home of whoever builds, and what a chroot or
// a container needs.
func (p *place) make(t *testing.T, w *world) *made {
	t.Helper()
	for _, ability := range p.needs {
		if err := needs[ability](); err != nil {
			t.Skipf("%s is needed: %v", ability, err)
		}
	}
	m := &made{place: p, world: w, dir: filepath.Join(w.dir, p.name)}
	for _, dir := range []string{m.dir, filepath.Join(m.dir, "area"), filepath.Join(m.dir, "area", "home")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{filepath.Join(m.dir, "area"), filepath.Join(m.dir, "area", "home")} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if p.image != "" {
		m.image = w.containerImage(t, p.image)
	}
	if p.tree {
		w.plant(t, m.dir+".root")
	}
	if slices.Contains(p.needs, "slurm") {
		w.startSlurm(t)
	}
	return m
}

// command is gbuild with these arguments, in the place.
func (m *made) command(args ...string) (argv []string, container string) {
	m.ran++
	container = fmt.Sprintf("gbuild-places-%d-%s-%d", os.Getpid(), m.name, m.ran)
	for _, layer := range m.around {
		argv = append(argv, layer...)
	}
	binary := "$WORLD/gbuild"
	if m.inContainer() {
		binary = "/usr/bin/gbuild"
	}
	argv = append(argv, "env", "-i")
	argv = append(argv, m.environ()...)
	argv = append(argv, binary)
	argv = append(argv, args...)
	replace := strings.NewReplacer("$WORLD", m.world.dir, "$DIR", m.dir, "$CONTAINER", container, "$IMAGE", m.image)
	for i, word := range argv {
		argv[i] = replace.Replace(word)
	}
	return argv, container
}

// inContainer says whether the binary is where the options of inDocker and inPodman bind it.
func (m *made) inContainer() bool { return m.image != "" || slices.Contains(m.needs, "podman") }

// environ is the environment of gbuild in the place.
func (m *made) environ() (environ []string) {
	vars := map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "$DIR/area/home",
		"GBUILD_ROOT": "$DIR/area/state", "GBUILD_CACHE_DIR": "$DIR/area/caches"}
	for _, v := range m.env {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = value
	}
	for name, value := range vars {
		if value != "" {
			environ = append(environ, name+"="+value)
		}
	}
	return environ
}

// run is what gbuild said in the place, and its exit status.
func (m *made) run(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	argv, container := m.command(args...)
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = m.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	cmd.Cancel = func() error {
		if m.image != "" {
			_ = exec.Command("docker", "kill", container).Run()
		}
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	raw, err := cmd.CombinedOutput()
	if ctx.Err() != nil || cmd.ProcessState == nil {
		t.Fatalf("%q: %v, %v\n%s", argv, err, ctx.Err(), raw)
	}
	return string(raw), cmd.ProcessState.ExitCode()
}

// timeLimit is for one build.
const timeLimit = 20 * time.Minute
