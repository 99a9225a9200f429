package swap

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestASocketIsRelayed(t *testing.T) {
	s := newScene(t)
	before := described(t, s.root)
	socket := filepath.Join(filepath.Dir(s.caches[1]), "agent")
	l, err := net.Listen("unix", socket)
	check(t, err)
	defer l.Close()
	check(t, os.Chmod(socket, 0o640))
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			_, _ = io.Copy(c, c)
			c.Close()
		}
	}()
	w := New(s.dir, s.root)
	check(t, w.In(context.Background(), []Mount{{Kind: Piped, Source: socket, Target: "/run/agent/socket"}}))
	var st unix.Stat_t
	check(t, unix.Lstat(s.root+"/run/agent/socket", &st))
	if st.Mode != unix.S_IFSOCK|0o640 {
		t.Errorf("the mode is %o", st.Mode)
	}
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: s.root + "/run/agent/socket", Net: "unix"})
	check(t, err)
	_, err = c.Write([]byte("question"))
	check(t, err)
	check(t, c.CloseWrite())
	if answer, err := io.ReadAll(c); err != nil || string(answer) != "question" {
		t.Errorf("%q, %v", answer, err)
	}
	check(t, w.Out())
	if _, err := net.Dial("unix", s.root+"/run/agent/socket"); err == nil {
		t.Error("it listens still")
	}
	if now := described(t, s.root); now != before {
		t.Errorf("the tree has changed:\n%s", now)
	}
}
