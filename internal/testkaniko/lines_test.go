// This file owns how a line is executed, and how gbuild is held against what is recorded.

package testkaniko

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"mvdan.cc/sh/v3/shell"
)

// program makes the command of a line in a world.
type program func(w *world, args []string, env map[string]string) *exec.Cmd

// settle executes a line in a world of its own, and says what it came to.
func settle(t *testing.T, l line, p program) outcome {
	t.Helper()
	w := newWorld(t, l)
	args, err := shell.Fields(l.Line, func(name string) string { return w.names[name] })
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for name, value := range l.Env {
		env[name] = os.Expand(value, func(name string) string { return w.names[name] })
	}
	first := w.execute(t, l, p(w, args, env))
	if !l.Twice {
		return first
	}
	time.Sleep(1100 * time.Millisecond) // the second in which an image is made must be another
	second := w.execute(t, l, p(w, args, env))
	switch a, b := first.Image, second.Image; {
	case a == nil || b == nil:
	case a.digest == b.digest:
		second.Again = "same image"
	case maps.Equal(a.content, b.content):
		second.Again = "same files"
	default:
		second.Again = "other files"
	}
	return second
}

// execute executes a command once.
func (w *world) execute(t *testing.T, l line, cmd *exec.Cmd) outcome {
	t.Helper()
	if l.Stdin {
		packed, err := os.ReadFile(w.names["TARBALL"])
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdin = bytes.NewReader(packed)
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	stop := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	err := cmd.Run()
	stop.Stop()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		t.Fatal(err)
	}
	o, err := w.look(cmd.ProcessState.ExitCode(), said.String())
	if err != nil {
		t.Fatalf("looking at what it left: %v\n%s", err, said.String())
	}
	if testing.Verbose() {
		t.Logf("%s\n%s", strings.Join(cmd.Args, " "), said.String())
	}
	return o
}

// workdir is where a line is called.
func workdir(w *world, l line, usual string) string {
	if l.Dir == "" {
		return usual
	}
	return os.Expand(l.Dir, func(name string) string { return w.names[name] })
}

func pushIndex(ref string, index v1.ImageIndex) error {
	tag, err := name.NewTag(ref)
	if err != nil {
		return err
	}
	return remote.WriteIndex(tag, index, remote.WithContext(context.Background()))
}

// differences names what of two outcomes is not the same, with both.
func differences(want, got outcome) map[string]string {
	flat := func(o outcome) map[string]any {
		var fields, inner map[string]any
		data, _ := json.Marshal(o)
		_ = json.Unmarshal(data, &fields)
		if o.Image != nil {
			data, _ = json.Marshal(o.Image)
			_ = json.Unmarshal(data, &inner)
			for name, value := range inner {
				fields["image."+name] = value
			}
			delete(fields, "image")
		}
		return fields
	}
	a, b, found := flat(want), flat(got), map[string]string{}
	names := maps.Clone(a)
	maps.Copy(names, b)
	for name := range names {
		x, _ := json.Marshal(a[name])
		y, _ := json.Marshal(b[name])
		if !bytes.Equal(x, y) {
			found[name] = "kaniko " + string(x) + "\n\t\tgbuild " + string(y)
		}
	}
	return found
}

// sorted are the names of differences.
func sorted(found map[string]string) []string { return slices.Sorted(maps.Keys(found)) }

// ordinary is the user with subordinate ids that scripts/setup.sh makes.
var ordinary = cmp.Or(os.Getenv("GBUILD_TEST_USER"), "tester")

// release makes the binary that users get.
func release(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "gbuild")
	build := exec.Command("make", "--no-print-directory", "-C", "../..", "build", "BINARY="+binary)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the release binary: %v\n%s", err, out)
	}
	for dir := filepath.Dir(binary); dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		_ = os.Chmod(dir, 0o755) // others are to enter
	}
	return binary
}

// TestLines gives each line to gbuild, as whoever executes the test and, if that is root, as an ordinary user, too.
func TestLines(t *testing.T) {
	binary := release(t)
	var known recorded
	readJSON(t, "recorded.json", &known)
	for _, l := range readLines(t) {
		want, seen := known.Lines[l.Name]
		if !seen || l.Container {
			continue
		}
		t.Run("self/"+l.Name, func(t *testing.T) { hold(t, l, want, onMachine(t, l, binary, nil)) })
		if _, err := osuser.Lookup(ordinary); err == nil && os.Getuid() == 0 {
			t.Run("ordinary/"+l.Name, func(t *testing.T) {
				hold(t, l, want, onMachine(t, l, binary, []string{"setpriv", "--reuid", ordinary, "--regid", ordinary, "--init-groups"}))
			})
		}
	}
}

// comparable leaves away what each program does in its own way: the words of errors, in how many pieces a cache is, and
// whether a second build of the same files has the same digest, which gbuild's always has.
func comparable(o outcome) outcome {
	o.Error = ""
	if o.Again == "same image" {
		o.Again = "same files"
	}
	o.Caches = maps.Clone(o.Caches)
	for repository := range o.Caches {
		o.Caches[repository] = 1
	}
	return o
}

// onMachine is gbuild on this machine; around are the words before its command.
func onMachine(t *testing.T, l line, binary string, around []string) program {
	calls := 0
	return func(w *world, args []string, env map[string]string) *exec.Cmd {
		calls++
		cmd := exec.Command(append(around, binary, "kaniko")[0], slices.Concat(around, []string{binary, "kaniko"}, args)[1:]...)
		cmd.Dir = workdir(w, l, w.names["PROJECT"])
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.at("home"), "DOCKER_CONFIG=" + w.at("login"), fmt.Sprintf("GBUILD_ROOT=%s/state%d", w.at("home"), calls)}
		for name, value := range env {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		if around != nil {
			if out, err := exec.Command("chown", "-R", ordinary+":", w.at("home"), w.at("out")).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		return cmd
	}
}

// hold executes a line by gbuild, and fails for each difference from what is known that is not wanted, and for each wanted one
// that is none. It returns what the line came to.
func hold(t *testing.T, l line, want outcome, gbuild program) (got outcome) {
	t.Helper()
	t.Parallel()
	got = settle(t, l, gbuild)
	if (got.Error == "") != (got.Exit == 0) {
		t.Errorf("it ended with %d and said %q", got.Exit, got.Error)
	}
	found := differences(comparable(want), comparable(got))
	if found["exit"] != "" { // all else follows from that
		if l.Differs["exit"] == "" {
			t.Errorf("exit: %s\n%s", found["exit"], got.said)
		}
		return got
	}
	for _, name := range sorted(found) {
		if l.Differs[name] == "" {
			t.Errorf("%s:\n\t\t%s", name, found[name])
		}
	}
	for name, why := range l.Differs {
		if found[name] == "" {
			t.Errorf("%s does not differ any more, and was wanted to: %s", name, why)
		}
	}
	return got
}
