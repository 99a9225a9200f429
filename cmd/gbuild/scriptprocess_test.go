package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/build"
)

func sayer(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, text) })
}

// stepsCommand tells of the build before, which had --progress json, a line for each step: cached, ran or failed, and
// its title.
func stepsCommand(ts *testscript.TestScript, neg bool, args []string) {
	titles, lines := map[int]string{}, bufio.NewScanner(strings.NewReader(ts.ReadFile("stderr")))
	lines.Buffer(nil, 1<<20)
	var out bytes.Buffer
	for lines.Scan() {
		var e build.Event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		switch {
		case e.Type == build.Started:
			titles[e.Step] = e.Title
		case e.Type == build.Done && e.Cached:
			fmt.Fprintln(&out, "cached", titles[e.Step])
		case e.Type == build.Done:
			fmt.Fprintln(&out, "ran", titles[e.Step])
		case e.Type == build.Failed:
			fmt.Fprintln(&out, "failed", titles[e.Step])
		}
	}
	_, err := ts.Stdout().Write(out.Bytes())
	ts.Check(err)
}

// codeCommand runs a command that must end with the exit code: code N COMMAND.
func codeCommand(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// signalCommand is signal NAME TEXT CODE COMMAND...: when the command has said TEXT on standard error the signal is sent,
// and the command has ten seconds to end with the exit code.
func signalCommand(ts *testscript.TestScript, neg bool, args []string) {
	said := &watched{text: args[1], seen: make(chan struct{})}
	cmd := exec.Command(args[3], args[4:]...)
	cmd.Env, cmd.Dir, cmd.Stderr = worldOf(ts).env.Vars, ts.MkAbs("."), said
	ts.Check(cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	select {
	case <-said.seen:
	case <-ended:
		ts.Fatalf("ended before it said %q: %s", args[1], said)
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		ts.Fatalf("did not say %q: %s", args[1], said)
	}
	ts.Check(cmd.Process.Signal(unix.SignalNum("SIG" + args[0])))
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		_ = cmd.Process.Kill()
		ts.Fatalf("not ended ten seconds after SIG%s: %s", args[0], said)
	}
	ts.Logf("%s", said)
	if code := cmd.ProcessState.ExitCode(); fmt.Sprint(code) != args[2] {
		ts.Fatalf("exit code %d, want %s", code, args[2])
	}
}

// watched collects output, and tells when text has come.
type watched struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	text string
	seen chan struct{}
	once sync.Once
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p)
	if strings.Contains(w.buf.String(), w.text) {
		w.once.Do(func() { close(w.seen) })
	}
	return len(p), nil
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// nothingLeftCommand looks for what an ended gbuild must not leave: processes, mounts, and unfinished files in the state
// directory ($GBUILD_ROOT, or the one named).
func nothingLeftCommand(ts *testscript.TestScript, neg bool, args []string) {
	state := ts.Getenv("GBUILD_ROOT")
	if len(args) > 0 {
		state = ts.MkAbs(args[0])
	}
	for _, dir := range []string{"containers", "drafts", "ingest", "leases"} {
		entries, _ := os.ReadDir(filepath.Join(state, dir))
		for _, e := range entries {
			if e.Name() != ".names" {
				ts.Fatalf("%s/%s is left in the state directory", dir, e.Name())
			}
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	ts.Check(err)
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, state+"/") {
			ts.Fatalf("mount is left: %s", line)
		}
	}
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range environs {
		if env, err := os.ReadFile(file); err == nil && bytes.Contains(env, []byte("GBUILD_ROOT="+state+"\x00")) {
			cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			ts.Fatalf("process is left: %q", cmdline)
		}
	}
}

// hidesCommand searches every file below the directories for a text that must not be there: hides TEXT DIR...
func hidesCommand(ts *testscript.TestScript, neg bool, args []string) {
	for _, dir := range args[1:] {
		ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			if err == nil && bytes.Contains(data, []byte(args[0])) {
				err = fmt.Errorf("%s contains %q", path, args[0])
			}
			return err
		}))
	}
}

// helpPagesCommand prints the name of every command that can be run and lacks a short text or an example.
func helpPagesCommand(ts *testscript.TestScript, neg bool, args []string) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Runnable() && (c.Short == "" || c.Example == "") {
			fmt.Fprintln(ts.Stdout(), "incomplete:", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRootCommand(testApp(nil)))
}
