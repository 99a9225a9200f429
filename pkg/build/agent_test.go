package build

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// askAgent sends a word to the socket, and expects it back. want is MODE:UID:GID.
func askAgent(socket, want string) error {
	e, err := rootfs.Lstat(socket, socket)
	if err != nil {
		return err
	}
	if got := fmt.Sprintf("%o:%d:%d", e.Mode&0o7777, e.UID, e.GID); got != want {
		return fmt.Errorf("the socket is %s, want %s", got, want)
	}
	dir, err := os.Open(filepath.Dir(socket))
	if err != nil {
		return err
	}
	defer dir.Close()
	c, err := net.Dial("unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(socket)))
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Fprint(c, "hello")
	c.(*net.UnixConn).CloseWrite()
	if answer, err := io.ReadAll(c); err != nil || string(answer) != "hello" {
		return fmt.Errorf("the agent answered %q: %v", answer, err)
	}
	return nil
}

func TestAgent(t *testing.T) {
	b := newBench(t)
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.Copy(c, c)
			c.Close()
		}
	}()
	give := func(r *Request) { r.Agents = map[string]Secret{"default": {Socket: socket, Raw: true}} }
	b.build("FROM scratch\nRUN --mount=type=ssh agent 600:0:0\nRUN --mount=type=ssh,uid=5,gid=6,mode=0640 agent 640:5:6\n", give)
	// SSH_AUTH_SOCK is the first socket, or what the Dockerfile says it is.
	b.build("FROM scratch\nRUN --mount=type=ssh,target=/b --mount=type=ssh,target=/a sock /b\nENV SSH_AUTH_SOCK=/a\nRUN --mount=type=ssh,target=/b sock /a\n", give)
	_, err = b.try("FROM scratch\nRUN --mount=type=ssh,id=other,required agent 600:0:0\n", give)
	if err == nil || !strings.Contains(err.Error(), `ssh agent "other": not found`) {
		t.Errorf("an agent that is not there: %v", err)
	}
}
