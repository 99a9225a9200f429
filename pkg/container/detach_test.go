package container

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"testing"
	"time"
)

// Detach returns when the container has run, with what the supervisor said until then; one that failed before leaves nothing,
// nor does one that the caller gave up.
func TestDetach(t *testing.T) {
	gaveUp := errors.New("gave up")
	for name, c := range map[string]struct {
		does    string
		code    int   // of an *exec.ExitError
		err     error // another one
		said    string
		remains bool
	}{
		"it runs":                 {does: "echo pulling >&2; cp running state.json; exec sleep 1000", said: "pulling\n", remains: true},
		"it has ended already":    {does: "cp running state.json; exit 3", remains: true},
		"it ran and is forgotten": {does: "rm state.json; exit 0", remains: true},
		"it failed":               {does: "echo no image >&2; exit 125", code: 125, said: "no image\n"},
		"the caller gives up":     {does: "exec sleep 1000", err: gaveUp},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one := create(t, newRegistry(t), Record{Name: "one", Detached: true})
			created, err := os.ReadFile(one.path(recordFile))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(one.path("running"), bytes.Replace(created, []byte(StatusCreated), []byte(StatusRunning), 1), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			if c.err != nil {
				time.AfterFunc(50*time.Millisecond, func() { cancel(c.err) })
			}
			supervisor := exec.Command("sh", "-c", c.does)
			supervisor.Dir, supervisor.ExtraFiles = one.Dir(), []*os.File{one.Lock()}
			var said bytes.Buffer
			err = one.Detach(ctx, supervisor, &said)
			defer func() { _ = supervisor.Process.Kill() }()
			var exit *exec.ExitError
			if errors.As(err, &exit) != (c.code != 0) || exit != nil && exit.ExitCode() != c.code || !errors.Is(err, c.err) && c.code == 0 {
				t.Errorf("error %v", err)
			}
			if said.String() != c.said {
				t.Errorf("said %q, want %q", said.String(), c.said)
			}
			if _, err := os.Stat(one.Dir()); errors.Is(err, fs.ErrNotExist) == c.remains {
				t.Errorf("the entry: %v", err)
			}
			if name == "it runs" && !one.Alive() {
				t.Error("the supervisor has not inherited the lock")
			}
		})
	}
}
