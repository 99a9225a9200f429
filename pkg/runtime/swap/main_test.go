// This file owns the processes of the tests: each shows, takes back or recovers, and may be killed at any moment of that.

package swap

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

const taskVar = "GBUILD_TEST_SWAP"

// task is what a process is to do.
type task struct {
	What      string // "in", "out" or "recover"
	Dir, Root string
	List      []Mount
	Skip      string // the step that is not done
	KillAt    int    // the number of the step before which the process is killed; less than 0: none
}

func TestMain(m *testing.M) {
	if os.Getenv(taskVar) == "" {
		os.Exit(m.Run())
	}
	var t task
	if err := gob.NewDecoder(os.Stdin).Decode(&t); err != nil {
		panic(err)
	}
	os.Stdout.WriteString("!")
	if err := t.do(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (t task) do() (err error) {
	s := New(t.Dir, t.Root)
	steps := 0
	s.before = func(step string) bool {
		if steps == t.KillAt {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		steps++
		return step != t.Skip
	}
	switch t.What {
	case "in":
		return s.In(context.Background(), t.List)
	case "out": // in the process that has shown it, which knows it from before
		if s.journal, err = s.load(); err != nil || s.journal == nil {
			return fmt.Errorf("no journal: %w", err)
		}
		return s.Out()
	}
	return s.recover()
}

// run runs a task in a process of its own, which is killed after a while unless that is 0. It says whether the task was done.
func (t task) run(test *testing.T, after time.Duration) (done bool, took time.Duration) {
	test.Helper()
	var in, said bytes.Buffer
	if err := gob.NewEncoder(&in).Encode(t); err != nil {
		test.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), taskVar+"=1")
	cmd.Stdin, cmd.Stderr = &in, &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		test.Fatal(err)
	}
	_, _ = out.Read(make([]byte, 1))
	start := time.Now()
	if after > 0 {
		time.Sleep(after)
		_ = cmd.Process.Kill()
	}
	_, _ = io.Copy(io.Discard, out)
	err = cmd.Wait()
	took = time.Since(start)
	if said.Len() > 0 {
		test.Logf("%s: %s", t.What, said.Bytes())
	}
	return err == nil, took
}
