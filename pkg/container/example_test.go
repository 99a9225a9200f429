package container_test

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// A container is created, and lives for one session. Afterwards its record says how it ended, and its log what it said.
// What runs the command is handed in: here it is a function, in gbuild run it is a sandbox.
func Example() {
	dir, err := os.MkdirTemp("", "containers-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	all, err := container.Open(dir)
	if err != nil {
		panic(err)
	}
	c, err := all.Create(container.Record{Name: "api", Image: "my-agent", Command: []string{"serve"}, Detached: true})
	if err != nil {
		panic(err)
	}
	log, err := c.OpenLog(container.LogPolicy{})
	if err != nil {
		panic(err)
	}
	session := &container.Session{
		Container: c,
		Relay:     container.NewRelay(func(syscall.Signal) {}),
		Once: func(_ context.Context, _ container.Input, started func(container.Process)) error {
			started(process{})
			fmt.Fprintln(log.Stream("stdout"), "serving")
			return &runtime.ExitError{Code: 3}
		},
		User:   func(string) (runtime.Identity, error) { return runtime.Identity{}, nil },
		Notice: func(text string) { fmt.Println(text) },
	}
	fmt.Println("ended:", session.Run(context.Background()))

	found, err := all.Find("api")
	if err != nil {
		panic(err)
	}
	fmt.Println(found.Name, found.Status, found.ExitCode)
	_ = found.ReadLog(context.Background(), container.LogOptions{Tail: -1}, func(l container.LogLine) error {
		fmt.Print(l.Stream, ": ", l.Log)
		return nil
	})
	// Output:
	// ended: exit code 3
	// api exited 3
	// stdout: serving
}

// process stands for the command of a sandbox.
type process struct{}

func (process) Pid() int                                        { return 1 }
func (process) Signal(os.Signal) error                          { return nil }
func (process) Exec(context.Context, runtime.ExecOptions) error { return nil }
