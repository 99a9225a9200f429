package container

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gbuild/gbuild/internal/durable"
)

// victimVar makes this binary a process that makes an entry in this directory, and is killed after so many steps.
const victimVar = "CONTAINER_TEST_VICTIM"

func TestMain(m *testing.M) {
	if victim := os.Getenv(victimVar); victim != "" {
		steps, dir, _ := strings.Cut(victim, ":")
		n, _ := strconv.Atoi(steps)
		makeAndDie(dir, n)
	}
	os.Exit(m.Run())
}

// makeAndDie does what Create does until it is killed.
func makeAndDie(dir string, steps int) {
	if _, err := durable.TryLock(filepath.Join(dir, namesFile), durable.Exclusive); err != nil {
		os.Exit(3)
	}
	c := &Container{Record: Record{ID: randomID(), Name: "victim", Status: StatusCreated, Detached: true}}
	c.dir = filepath.Join(dir, c.ID)
	for _, step := range c.creation()[:steps] {
		if step() != nil {
			os.Exit(3)
		}
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func newRegistry(t testing.TB) *Registry {
	t.Helper()
	r, err := Open(filepath.Join(t.TempDir(), "containers"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func create(t testing.TB, r *Registry, wanted Record) *Container {
	t.Helper()
	c, err := r.Create(wanted)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// kill does to a container what the end of its processes does.
func kill(t testing.TB, c *Container) {
	t.Helper()
	if err := c.lock.Close(); err != nil {
		t.Fatal(err)
	}
}

func names(t testing.TB, r *Registry) string {
	t.Helper()
	list, err := r.List()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, c := range list {
		all = append(all, c.Name+" "+string(c.Status))
	}
	return strings.Join(all, ", ")
}

// Whenever the maker of an entry is killed, the registry can be read, lists the container as one that has ended or not at
// all, gives its name away again once it is not listed, and keeps nothing of it.
func TestEntrySurvivesKillBetweenAnySteps(t *testing.T) {
	steps := len((&Container{}).creation())
	for n := range steps + 1 {
		r := newRegistry(t)
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), victimVar+"="+strconv.Itoa(n)+":"+r.dir)
		if err := cmd.Run(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("after %d steps: the victim was not killed: %v", n, err)
		}
		want := ""
		if n == steps {
			want = "victim exited"
		}
		if got := names(t, r); got != want {
			t.Errorf("after %d steps: %q, want %q", n, got, want)
		}
		if c, err := r.Find("victim"); err == nil {
			if c.ExitCode != 137 || c.Wait() != nil || c.Remove() != nil {
				t.Errorf("after %d steps: %+v", n, c)
			}
		}
		create(t, r, Record{Name: "victim"})
		if got := names(t, r); got != "victim created" {
			t.Errorf("after %d steps, made again: %q", n, got)
		}
		if dirs, _ := r.entries(); len(dirs) != 1 {
			t.Errorf("after %d steps: %q stay", n, dirs)
		}
	}
}

// A container whose processes were killed has exited, or is forgotten where it was to be; one that lives is left alone.
func TestListClearsAwayWhatWasKilled(t *testing.T) {
	r := newRegistry(t)
	lives, dead, forgotten := create(t, r, Record{Name: "lives"}), create(t, r, Record{Name: "dead"}), create(t, r, Record{Name: "gone", Forget: true})
	for _, c := range []*Container{lives, dead, forgotten} {
		c.Status = StatusRunning
		if err := c.Save(); err != nil {
			t.Fatal(err)
		}
	}
	kill(t, dead)
	kill(t, forgotten)
	if got, want := names(t, r), "dead exited, lives running"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if c, err := r.Find("dead"); err != nil || c.ExitCode != 137 || c.Finished.IsZero() {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := os.Stat(forgotten.Dir()); !os.IsNotExist(err) {
		t.Error("what is forgotten stays:", err)
	}
}

// A name means one container: it is taken while that is listed. The start of an ID does, where it is that of one only.
func TestNames(t *testing.T) {
	r := newRegistry(t)
	first, second := create(t, r, Record{Name: "first"}), create(t, r, Record{})
	if second.Name != "run-"+second.ID[:12] {
		t.Errorf("a name was not made of the ID: %s", second.Name)
	}
	for _, name := range []string{"first", "", "x", "-x", "a b", "../a", "a/b"} {
		if _, err := r.Create(Record{Name: name}); err == nil && name != "" {
			t.Errorf("name %q was given", name)
		}
	}
	for _, name := range []string{"first", first.ID, first.ID[:20]} {
		if c, err := r.Find(name); err != nil || c.ID != first.ID {
			t.Errorf("%q: %v, %v", name, c, err)
		}
	}
	for _, name := range []string{"", "nosuch", first.ID + "0"} {
		if c, err := r.Find(name); err == nil {
			t.Errorf("%q means %s", name, c.Name)
		}
	}
}

// Wait returns when the last holder of the lock is gone, also for an entry that is removed meanwhile.
func TestWait(t *testing.T) {
	r := newRegistry(t)
	c := create(t, r, Record{Name: "one"})
	stranger, err := r.Find("one")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan error)
	go func() { over <- stranger.Wait() }()
	if !stranger.Alive() {
		t.Error("it is not alive")
	}
	if err := c.Remove(); err != nil {
		t.Fatal(err)
	}
	kill(t, c)
	if err := <-over; err != nil {
		t.Error(err)
	}
	if stranger.Alive() || stranger.Wait() != nil {
		t.Error("a container without an entry lives")
	}
}

// What another process of the container has saved is what one sees that takes the entry over.
func TestTakeOver(t *testing.T) {
	r := newRegistry(t)
	c := create(t, r, Record{Name: "one", Command: []string{"a", "b"}, StopTimeout: 3, Ports: []string{"0.0.0.0:1->2/tcp"}})
	own, err := r.TakeOver(c.ID, c.Lock())
	if err != nil || own.Name != "one" || strings.Join(own.Command, " ") != "a b" || own.StopTimeout != 3 || len(own.Ports) != 1 || own.Lock() != c.Lock() {
		t.Errorf("%+v, %v", own, err)
	}
	if _, err := r.TakeOver("nosuch", nil); err == nil {
		t.Error("an entry that is not there was taken over")
	}
}
