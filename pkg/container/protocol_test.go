package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/container/copying"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// recorder is a handler that writes down what it was asked.
type recorder struct {
	mu    sync.Mutex
	asked []string
	err   error
}

func (h *recorder) add(text string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, text)
	return h.err
}

func (h *recorder) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

func (h *recorder) take() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := strings.Join(h.asked, ", ")
	h.asked = nil
	return all
}

func (h *recorder) signal(s syscall.Signal) error { return h.add("signal " + unix.SignalName(s)) }
func (h *recorder) stop(ask syscall.Signal, timeout int) error {
	return h.add("stop " + unix.SignalName(ask))
}

func (h *recorder) exec(ctx context.Context, r request, files []*os.File, started func(func(os.Signal) error)) error {
	if len(files) == 3 {
		_, _ = files[1].WriteString("out of " + r.Args[0])
	}
	signals := make(chan os.Signal, 1)
	started(func(s os.Signal) error { signals <- s; return nil })
	if r.Args[0] != "wait" {
		return h.add("exec " + strings.Join(r.Args, " "))
	}
	select {
	case s := <-signals:
		return h.add("signal to exec " + unix.SignalName(s.(syscall.Signal)))
	case <-ctx.Done():
		return h.add("killed")
	}
}

func (h *recorder) wait(context.Context) error { return h.add("wait") }

func (h *recorder) attach(_ context.Context, r request, files []*os.File) error {
	_, _ = files[1].WriteString("out of the command")
	return h.add(fmt.Sprint("attach ", r.Begin))
}

func (h *recorder) setSize(s runtime.TerminalSize) {
	_ = h.add(fmt.Sprint("size ", s.Rows, "x", s.Cols))
}

func (h *recorder) copy(r request, files []*os.File) (copying.Info, error) {
	return copying.Info{Path: r.Copy.Path}, h.add(fmt.Sprint(r.Op, " ", r.Copy.Path, " ", len(files)))
}

func (h *recorder) rename(name string) error { return h.add("rename " + name) }

func served(t testing.TB) (*Container, *recorder) {
	t.Helper()
	c, h := create(t, newRegistry(t), Record{Name: "one"}), &recorder{}
	c.Status = StatusRunning
	closer, err := serve(c, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closer.Close() })
	return c, h
}

func dial(t testing.TB, c *Container) *net.UnixConn {
	t.Helper()
	address, dir, err := c.socket()
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	conn, err := net.DialUnix("unix", nil, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func openFiles(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// falls waits until a number is no more than wanted: the other end does its part in its own time.
func falls(want int, number func() int) bool {
	for range 200 {
		if number() <= want {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// Whatever comes over the socket that is no whole request is answered with an error, carried out by nobody, and keeps no
// file open; and the next one is served.
func TestProtocolRefusesGarbage(t *testing.T) {
	c, h := served(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	before := openFiles(t)
	for name, bad := range map[string]struct {
		text  string
		files int
	}{
		"nothing":            {"", 0},
		"half a line":        {`{"Op":"stop","Signal":15`, 0},
		"an empty line":      {"\n", 0},
		"no JSON":            {"GET / HTTP/1.1\r\n\r\n", 0},
		"another type":       {`{"Op":1}` + "\n", 0},
		"no operation":       {"{}\n", 0},
		"another operation":  {`{"Op":"reboot"}` + "\n", 0},
		"two lines":          {"{}\n{}\n", 0},
		"no signal":          {`{"Op":"signal"}` + "\n", 0},
		"a high signal":      {`{"Op":"signal","Signal":65}` + "\n", 0},
		"a negative signal":  {`{"Op":"stop","Signal":-9}` + "\n", 0},
		"no command":         {`{"Op":"exec"}` + "\n", 3},
		"no files":           {`{"Op":"exec","Args":["a"]}` + "\n", 0},
		"too few files":      {`{"Op":"exec","Args":["a"]}` + "\n", 2},
		"files for terminal": {`{"Op":"exec","Args":["a"],"Terminal":true}` + "\n", 3},
		"too long":           {strings.Repeat("x", 2*maxRequest) + "\n", 0},
		"files of nothing":   {"{", 3},
	} {
		conn := dial(t, c)
		var fds []int
		for range bad.files {
			fds = append(fds, int(null.Fd()))
		}
		if bad.text != "" {
			_, _, _ = conn.WriteMsgUnix([]byte(bad.text), unix.UnixRights(fds...), nil) // a reader may have gone before the end
		}
		_ = conn.CloseWrite()
		var a answer
		// An answer may be lost where the other end stopped to read: then the connection is reset.
		if err := json.NewDecoder(conn).Decode(&a); err == nil && a.Error == "" || err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: answer %+v, %v", name, a, err)
		}
		conn.Close()
		if asked := h.take(); asked != "" {
			t.Errorf("%s: carried out: %s", name, asked)
		}
	}
	if !falls(before, func() int { return openFiles(t) }) {
		t.Errorf("%d files are open, were %d", openFiles(t), before)
	}
	if err := c.Signal(syscall.SIGHUP); err != nil || h.take() != "signal SIGHUP" {
		t.Error("the next request is not served:", err)
	}
}

// FuzzReceive feeds a server any bytes: it never panics, and what it takes for a request has passed the check.
func FuzzReceive(f *testing.F) {
	for _, seed := range []string{"", "\n", "{}\n", `{"Op":"exec","Args":["a"]}` + "\n", `{"Op":"stop","Signal":15,"Timeout":-1}` + "\n", `{"Op":"signal","Signal":1e9}` + "\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Skip(err)
		}
		ours, theirs := connOf(t, fds[0]), connOf(t, fds[1])
		defer theirs.Close()
		go func() { _, _ = ours.Write(text); ours.Close() }()
		r, files, err := receive(theirs)
		if err == nil && r.check(len(files)) != nil {
			t.Errorf("%q was taken: %+v", text, r)
		}
	})
}

func connOf(t *testing.T, fd int) *net.UnixConn {
	t.Helper()
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	return conn.(*net.UnixConn)
}

// What a stranger asks for is what the container is asked; errors come back with their hints, and codes as they are.
func TestClient(t *testing.T) {
	c, h := served(t)
	kill(t, c)
	if err := c.Stop(syscall.SIGINT, 3); err != nil || h.take() != "stop SIGINT" {
		t.Error("stop:", err)
	}
	h.fail(hint.Errorf("do this", "it failed"))
	if err := c.Signal(syscall.SIGUSR1); err == nil || err.Error() != "it failed" || hint.Of(err) != "do this" {
		t.Errorf("%v, hint %q", err, hint.Of(err))
	}
	h.take()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	for code, handled := range map[int]error{0: nil, 7: &runtime.ExitError{Code: 7}, 127: &runtime.ExitError{Code: 127, Err: errors.New("not found")}, 126: errors.New("no such user")} {
		h.fail(handled)
		e, err := c.Exec(Command{Args: []string{"cmd", "arg"}}, r, w, w)
		if err != nil {
			t.Fatal(err)
		}
		err = e.Wait()
		var exit *runtime.ExitError
		if errors.As(err, &exit) != (code != 0) || exit != nil && (exit.Code != code || (exit.Err != nil) != (code > 100)) {
			t.Errorf("code %d: %v", code, err)
		}
		e.Close()
		text := make([]byte, 20)
		if n, _ := r.Read(text); string(text[:n]) != "out of cmd" || h.take() != "exec cmd arg" {
			t.Errorf("code %d: the command's output was %q", code, text[:n])
		}
	}
}

// A command of an exec gets the signals of its caller, and is killed when that goes away.
func TestExecFollowsItsCaller(t *testing.T) {
	c, h := served(t)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	start := func() *Execution {
		e, err := c.Exec(Command{Args: []string{"wait"}}, null, null, null)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := start()
	defer e.Close()
	e.Signal(syscall.SIGTERM)
	if err := e.Wait(); err != nil || h.take() != "signal to exec SIGTERM" {
		t.Error(err)
	}
	start().Close()
	if !falls(0, func() int {
		h.mu.Lock()
		defer h.mu.Unlock()
		return 1 - len(h.asked)
	}) || h.take() != "killed" {
		t.Error("it was not killed")
	}
}

// A container that does not run, or ends in the midst, says so.
func TestClientOfDeadContainer(t *testing.T) {
	c := create(t, newRegistry(t), Record{Name: "one"})
	kill(t, c)
	if err := c.Signal(syscall.SIGHUP); err == nil || !strings.Contains(err.Error(), "is not running") {
		t.Error(err)
	}
	if err := c.Stop(syscall.SIGHUP, 0); err != nil {
		t.Error("it is over already:", err)
	}
	if _, err := readAnswer(io.LimitReader(strings.NewReader(`{"Code":0}`), 4)); err == nil {
		t.Error("half an answer was taken")
	}
}
