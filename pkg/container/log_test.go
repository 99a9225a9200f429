package container

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func logged(t *testing.T, c *Container, o LogOptions) string {
	t.Helper()
	var all strings.Builder
	err := c.ReadLog(context.Background(), o, func(l LogLine) error {
		fmt.Fprintf(&all, "%s:%s", l.Stream[3:], l.Log)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func openLog(t *testing.T, c *Container) *Log {
	t.Helper()
	log, err := c.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return log
}

// What is written to the streams is what is read, in any order of writing, with the stream of each part.
func TestLog(t *testing.T) {
	c := create(t, newRegistry(t), Record{})
	if err := c.ReadLog(context.Background(), LogOptions{}, nil); err == nil {
		t.Error("a log that is not there was read")
	}
	log := openLog(t, c)
	long := strings.Repeat("x", maxLogLine+1) + "\n"
	for _, text := range []string{"one\ntwo\n", "prompt> ", "\n", "", "\x00<&>é\n", long} {
		if n, err := log.Stream("stdout").Write([]byte(text)); err != nil || n != len(text) {
			t.Fatal(n, err)
		}
	}
	if _, err := log.Stream("stderr").Write([]byte("err\n")); err != nil {
		t.Fatal(err)
	}
	whole := "out:one\nout:two\nout:prompt> out:\nout:\x00<&>é\nout:" + long[:maxLogLine] + "out:x\nerr:err\n"
	for tail, want := range map[int]string{-1: whole, 100: whole, 2: "out:x\nerr:err\n", 0: ""} {
		if got := logged(t, c, LogOptions{Tail: tail}); got != want {
			t.Errorf("tail %d: %q, want %q", tail, got, want)
		}
	}
}

// Wherever a log is cut, as by a process that is killed or a disk that is full, each whole line before and after is read.
func TestLogThatIsCut(t *testing.T) {
	c := create(t, newRegistry(t), Record{})
	if _, err := openLog(t, c).Stream("stdout").Write([]byte("one\ntwo\n")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(c.path(logFile))
	if err != nil {
		t.Fatal(err)
	}
	first := strings.IndexByte(string(text), '\n') + 1
	for cut := first; cut < len(text); cut++ {
		if err := os.WriteFile(c.path(logFile), []byte(string(text[:cut])+"\n"+string(text[:first])), 0o600); err != nil {
			t.Fatal(err)
		}
		want := "out:one\nout:one\n"
		if cut == len(text)-1 {
			want = "out:one\nout:two\nout:one\n"
		}
		if got := logged(t, c, LogOptions{Tail: -1}); got != want {
			t.Fatalf("cut at %d: %q, want %q", cut, got, want)
		}
	}
}

// Following gives each line once, those of the last moment included, and ends with the container or the context.
func TestFollowLog(t *testing.T) {
	r := newRegistry(t)
	c := create(t, r, Record{Name: "one"})
	out := openLog(t, c).Stream("stdout")
	if _, err := out.Write([]byte("0\n")); err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := 1; i <= 50; i++ {
			_, _ = fmt.Fprintln(out, i)
			time.Sleep(time.Millisecond)
		}
		c.lock.Close()
	}()
	var want strings.Builder
	for i := 0; i <= 50; i++ {
		fmt.Fprintf(&want, "out:%d\n", i)
	}
	if got := logged(t, c, LogOptions{Tail: -1, Follow: true}); got != want.String() {
		t.Errorf("%q", got)
	}
	lives := create(t, r, Record{Name: "two"})
	openLog(t, lives)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := lives.ReadLog(ctx, LogOptions{Follow: true}, nil); err != nil {
		t.Error(err)
	}
}
