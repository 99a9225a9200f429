package container

import (
	"bufio"
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gbuild/gbuild/pkg/runtime"
)

func pipe(t *testing.T) (in, out *os.File) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); out.Close() })
	return in, out
}

// Who attaches hears what was said before it came if nobody was there, speaks to the command, and is told how it ended. Who goes away
// is missed by nobody.
func TestAttach(t *testing.T) {
	c := create(t, newRegistry(t), Record{Name: "one"})
	streams := &Streams{}
	log := openLog(t, c)
	stdout, stderr := streams.Output(false, log.Stream("stdout")), streams.Output(true, log.Stream("stderr"))
	sizes := make(chan runtime.TerminalSize)
	s := &Session{Container: c, Streams: streams, Relay: NewRelay(func(syscall.Signal) {}), Notice: func(text string) { t.Error(text) },
		Once: func(_ context.Context, in Input, started func(Process)) error {
			started(&fakeProcess{ended: make(chan error, 1)})
			go func() {
				for size := range in.Resize {
					sizes <- size
				}
			}()
			_, _ = stdout.Write([]byte("ready\n"))
			for lines := bufio.NewScanner(in.Stdin); lines.Scan(); {
				if lines.Text() == "end" {
					_, _ = stderr.Write([]byte("ends\n"))
					return &runtime.ExitError{Code: 7}
				}
				_, _ = stdout.Write([]byte("heard " + lines.Text() + "\n"))
			}
			return nil
		}}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	waited := make(chan int, 1)
	for !exists(c.path(socketFile)) || s.running() == nil {
		time.Sleep(time.Millisecond)
	}
	stranger := &Container{Record: c.Record, dir: c.dir}
	go func() {
		code, _ := stranger.ExitedWith()
		waited <- code
	}()

	attach := func(begin bool) (e *Execution, in *os.File, out *bufio.Reader) {
		t.Helper()
		stdin, in := pipe(t)
		said, stdout := pipe(t)
		e, err := stranger.Attach(stdin, stdout, stdout, begin)
		if err != nil {
			t.Fatal(err)
		}
		return e, in, bufio.NewReader(said)
	}
	expect := func(r *bufio.Reader, want string) {
		t.Helper()
		if line, err := r.ReadString('\n'); line != want+"\n" {
			t.Fatalf("%q, %v; want %q", line, err, want)
		}
	}
	first, in, said := attach(true)
	expect(said, "ready")
	if _, err := in.WriteString("one\n"); err != nil {
		t.Fatal(err)
	}
	expect(said, "heard one")
	first.SetSize(runtime.TerminalSize{Rows: 3, Cols: 4})
	if size := <-sizes; size.Rows != 3 || size.Cols != 4 {
		t.Errorf("the size is %+v", size)
	}
	first.Close()

	second, in, said := attach(true) // it is not the first
	if err := (&Registry{dir: strings.TrimSuffix(c.dir, "/"+c.ID)}).Rename(stranger, "other"); err != nil {
		t.Error(err)
	}
	if _, err := in.WriteString("two\nend\n"); err != nil {
		t.Fatal(err)
	}
	expect(said, "heard two")
	expect(said, "ends")
	var exit *runtime.ExitError
	if err := second.Wait(); !errors.As(err, &exit) || exit.Code != 7 {
		t.Errorf("it ended with %v", err)
	}
	<-ended
	c.lock.Close()
	if code := <-waited; code != 7 {
		t.Errorf("who waits was told %d", code)
	}
	if code, err := stranger.ExitedWith(); code != 7 || err != nil || stranger.Name != "other" {
		t.Errorf("the record says %d, %v, %s", code, err, stranger.Name)
	}
	if got := logged(t, c, LogOptions{Tail: -1}); got != "out:ready\nout:heard one\nout:heard two\nerr:ends\n" {
		t.Errorf("the log has %q", got)
	}
}

// A container that is over is held by who starts it again, and stays when that fails.
func TestReopen(t *testing.T) {
	r := newRegistry(t)
	c := create(t, r, Record{Name: "one", Ports: []string{"80"}})
	stranger := &Container{Record: c.Record, dir: c.dir}
	if err := stranger.Reopen(); err == nil || !strings.Contains(err.Error(), "is running") {
		t.Errorf("one that lives was started again: %v", err)
	}
	c.Status, c.ExitCode = StatusExited, 3
	if err := c.Save(); err != nil {
		t.Fatal(err)
	}
	c.lock.Close()
	if err := stranger.Reopen(); err != nil || stranger.Status != StatusCreated || stranger.Ports != nil || !c.Alive() {
		t.Fatalf("%v, %+v", err, stranger.Record)
	}
	if err := stranger.abandon(125); err != nil {
		t.Error(err)
	}
	stranger.lock.Close()
	if list, err := r.List(); err != nil || len(list) != 1 || list[0].Status != StatusExited || list[0].ExitCode != 125 {
		t.Errorf("%v, %+v", err, list)
	}
	type plan struct{ Args []string }
	var got plan
	if err := c.Kept(Plan, &got); err == nil {
		t.Error("what was not kept was read")
	}
	if err := c.Keep(Plan, plan{[]string{"a"}}); err != nil {
		t.Fatal(err)
	}
	if err := c.Kept(Plan, &got); err != nil || len(got.Args) != 1 {
		t.Error(got, err)
	}
}
