// This file owns builds that are killed at any moment: whatever they leave, nothing goes on, and the next build comes to what it would
// have come to without them.

package testplaces

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// killedIn are where builds are killed. Each has a user of its own, so that what is left can be told from what others do.
var killedIn = []place{
	{name: "killed-marks", around: [][]string{as("54301", "54301")}},
	{name: "killed-copies", around: [][]string{
		prepared("mkdir -p $DIR/l $DIR/u $DIR/w; chmod 777 $DIR/u; mount -t overlay -o lowerdir=$DIR/l,upperdir=$DIR/u,workdir=$DIR/w none $DIR/area"),
		as("54302", "54302"),
	}},
}

// TestKilledBuilds kills a few builds, and 50 in each place where GBUILD_OWNERS=long.
func TestKilledBuilds(t *testing.T) {
	rounds := 3
	if os.Getenv("GBUILD_OWNERS") == "long" {
		rounds = 50
	}
	w := newWorld(t)
	for i, p := range killedIn {
		t.Run(p.name, func(t *testing.T) {
			m := p.make(t, w)
			began := time.Now()
			want := m.filesOf(t, w.base, "testdata/owners/killed")
			took := time.Since(began)
			user, seed := 54301+i, uint64(began.UnixNano())
			random := rand.New(rand.NewPCG(seed, 0))
			t.Logf("a build takes %v; seed %d", took, seed)
			for round := range rounds {
				if round%10 == 9 { // so that the base is not there either
					m.forget(t)
				}
				moment := time.Duration(random.Int64N(int64(took)))
				m.killAfter(t, moment, round%2 == 0, user)
				if got := m.filesOf(t, w.base, "testdata/owners/killed"); !maps.Equal(got, want) {
					t.Errorf("round %d, killed after %v: the next build comes to other files", round, moment)
					comparison{contents: true}.compare(t, want, got)
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}

// forget removes the state.
func (m *made) forget(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"area/state", "u/state"} {
		if err := exec.Command("rm", "-rf", filepath.Join(m.dir, dir)).Run(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter begins a build and kills it: the process that was started, or all of its group. Then nothing of the user may be left.
func (m *made) killAfter(t *testing.T, moment time.Duration, group bool, user int) {
	t.Helper()
	argv, _ := m.command(append(buildTo(filepath.Join(m.dir, "out", "killed.tar"), m.world.base, filepath.Join(m.dir, "context")), "--no-cache")...)
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var said bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = m.dir, &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(moment)
	pid := cmd.Process.Pid
	if group {
		pid = -pid
	}
	_ = unix.Kill(pid, unix.SIGKILL)
	cmd.WaitDelay = time.Minute
	_ = cmd.Wait() // it was killed, or had ended before
	var left []string
	for range 200 {
		if left = processesOf(user); len(left) == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("killed after %v (all of the group: %v), there are processes still: %q\n%s", moment, group, left, said.String())
}

// processesOf are the commands of a user that are executed now.
func processesOf(user int) (commands []string) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		var s unix.Stat_t
		if unix.Stat(dir, &s) != nil || s.Uid != uint32(user) {
			continue
		}
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err == nil && len(line) > 0 {
			commands = append(commands, fmt.Sprintf("%s %s", filepath.Base(dir), bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	slices.Sort(commands)
	return commands
}
