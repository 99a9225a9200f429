package container

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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
	log, err := c.OpenLog(LogPolicy{})
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
	for tail, want := range map[int]string{-1: whole, 100: whole, 2: "out:" + long[:maxLogLine] + "out:x\nerr:err\n", 1: "err:err\n", 0: ""} {
		if got := logged(t, c, LogOptions{Tail: tail}); got != want {
			t.Errorf("tail %d: %q, want %q", tail, got, want)
		}
	}
}

// A character whose bytes come one by one stays whole; one that never becomes whole is there at the end.
func TestLogKeepsCharacters(t *testing.T) {
	c := create(t, newRegistry(t), Record{})
	log := openLog(t, c)
	out := log.Stream("stdout")
	said := "aé€😀\n" + strings.Repeat("é", maxLogLine) + "\n"
	for i := range len(said) {
		if n, err := out.Write([]byte{said[i]}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	once := log.Stream("stdout")
	if _, err := once.Write([]byte("x" + strings.Repeat("€", maxLogLine) + "\xe2\x82")); err != nil {
		t.Fatal(err)
	}
	log.Close()
	got := strings.ReplaceAll(logged(t, c, LogOptions{Tail: -1}), "out:", "")
	if want := said + "x" + strings.Repeat("€", maxLogLine) + "��"; got != want {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
}

// A log goes on in another file where it becomes too large, the oldest are removed, and who follows it misses nothing.
func TestLogRotates(t *testing.T) {
	const last = 24
	for _, files := range []int{1, 3} {
		r := newRegistry(t)
		c := create(t, r, Record{Name: "one"})
		log, err := c.OpenLog(LogPolicy{MaxSize: 400, MaxFile: files})
		if err != nil {
			t.Fatal(err)
		}
		out := log.Stream("stdout")
		say := func(n int) {
			if _, err := fmt.Fprintf(out, "line %03d\n", n); err != nil {
				t.Fatal(err)
			}
		}
		say(0)
		seen, ask := make(chan int), make(chan bool)
		go func() {
			defer c.lock.Close()
			for n := 1; n <= last; n++ {
				if n%4 == 1 && !<-ask { // so that who reads is never more than one file behind
					return
				}
				say(n)
			}
		}()
		go func() {
			defer close(seen)
			err := c.ReadLog(context.Background(), LogOptions{Tail: -1, Follow: true}, func(l LogLine) error {
				var n int
				_, err := fmt.Sscanf(l.Log, "line %d", &n)
				seen <- n
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}()
		next := 0
		for n := range seen {
			if n != next {
				t.Errorf("%d files: %d, want %d", files, n, next)
			}
			if next++; n%4 == 0 && n < last {
				ask <- true
			}
		}
		entries, _ := filepath.Glob(c.path(logFile) + "*")
		if next != last+1 || len(entries) != files {
			t.Errorf("%d files: %d lines, %q", files, next, entries)
		}
		if got := logged(t, c, LogOptions{Tail: 5}); files > 1 && got != "out:line 020\nout:line 021\nout:line 022\nout:line 023\nout:line 024\n" {
			t.Errorf("the last lines are %q", got)
		}
		if got := logged(t, c, LogOptions{Tail: -1}); !strings.HasSuffix(got, "out:line 024\n") || strings.Contains(got, "line 000") {
			t.Errorf("all lines are %q", got)
		}
	}
}

// The last lines are found without what is before them: nobody could read the beginning of this file in any time.
func TestLogTailIsShort(t *testing.T) {
	c := create(t, newRegistry(t), Record{})
	log := openLog(t, c)
	if err := log.file.Truncate(1 << 36); err != nil {
		t.Skip("no file with a hole can be made here:", err)
	}
	out := log.Stream("stdout")
	for n := range 3000 {
		fmt.Fprintf(out, "line %d\n", n)
	}
	fmt.Fprint(out, "prompt> ")
	if got := logged(t, c, LogOptions{Tail: 2}); got != "out:line 2999\nout:prompt> " {
		t.Errorf("%q", got)
	}
	if got := logged(t, c, LogOptions{Tail: 2000}); strings.Count(got, "\n") != 1999 || !strings.HasPrefix(got, "out:line 1001\n") {
		t.Errorf("%d lines, %.30q", strings.Count(got, "\n"), got)
	}
}

func TestLogTimes(t *testing.T) {
	c := create(t, newRegistry(t), Record{})
	at := func(s int) time.Time { return time.Date(2026, 1, 2, 3, 4, s, 0, time.UTC) }
	var text strings.Builder
	for s := range 5 {
		fmt.Fprintf(&text, `{"log":"%d\n","stream":"stdout","time":%q}`+"\n", s, at(s).Format(time.RFC3339Nano))
	}
	if err := os.WriteFile(c.path(logFile), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]LogOptions{
		"out:2\nout:3\nout:4\n": {Tail: -1, Since: at(2)},
		"out:0\nout:1\n":        {Tail: -1, Until: at(1)},
		"out:4\n":               {Tail: 1, Since: at(2)},
		"out:1\n":               {Tail: -1, Since: at(1), Until: at(1), Follow: true},
	} {
		if got := logged(t, c, o); got != want {
			t.Errorf("%+v: %q, want %q", o, got, want)
		}
	}
}

func TestParseLog(t *testing.T) {
	for _, c := range []struct {
		driver, options string
		want            LogPolicy
		refused         bool
	}{
		{"", "", LogPolicy{}, false},
		{"json-file", "max-size=10m max-file=3 compress=true tag=x", LogPolicy{MaxSize: 10 << 20, MaxFile: 3}, false},
		{"json-file", "max-size=-1", LogPolicy{}, false},
		{"local", "", LogPolicy{MaxSize: 20 << 20, MaxFile: 5}, false},
		{"local", "max-size=1k", LogPolicy{MaxSize: 1 << 10, MaxFile: 5}, false},
		{"none", "max-size=1k", LogPolicy{Off: true}, false},
		{"journald", "", LogPolicy{}, true},
		{"json-file", "max-size", LogPolicy{}, true},
		{"json-file", "max-size=0", LogPolicy{}, true},
		{"json-file", "max-file=0", LogPolicy{}, true},
		{"json-file", "nosuch=1", LogPolicy{}, true},
	} {
		got, err := ParseLog(c.driver, strings.Fields(c.options))
		if (err != nil) != c.refused || !c.refused && got != c.want {
			t.Errorf("%+v: %+v, %v", c, got, err)
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
