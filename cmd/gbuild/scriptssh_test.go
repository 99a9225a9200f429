package main

import (
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"
)

// sshServer serves the repositories below a directory to who has the key, and notes which keys it is offered.
type sshServer struct {
	dir, log string
	config   *ssh.ServerConfig
	mu       sync.Mutex
}

// sshServeCommand is ssh-serve NAME DIR: a server at $NAME_URL, whose key is the line $NAME_KNOWN for a known_hosts file.
// It takes the key in the file NAME.key, and writes to NAME.log a line for each key that is offered.
func sshServeCommand(ts *testscript.TestScript, neg bool, args []string) {
	name := args[0]
	s := &sshServer{dir: ts.MkAbs(args[1]), log: ts.MkAbs(name + ".log")}
	ts.Check(os.WriteFile(s.log, nil, 0o666))
	mine, text := newSSHKey(ts)
	ts.Check(os.WriteFile(ts.MkAbs(name+".key"), text, 0o600))
	host, _ := newSSHKey(ts)
	s.config = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		s.note("offered " + ssh.FingerprintSHA256(key))
		if string(key.Marshal()) != string(mine.PublicKey().Marshal()) {
			return nil, fmt.Errorf("who is that?")
		}
		return nil, nil
	}}
	s.config.AddHostKey(host)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	go s.serve(l)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	ts.Setenv(name+"_URL", "ssh://git@127.0.0.1:"+port)
	ts.Setenv(name+"_KNOWN", "[127.0.0.1]:"+port+" "+strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host.PublicKey()))))
}

func newSSHKey(ts *testscript.TestScript) (ssh.Signer, []byte) {
	_, key, err := ed25519.GenerateKey(nil)
	ts.Check(err)
	block, err := ssh.MarshalPrivateKey(key, "test")
	ts.Check(err)
	signer, err := ssh.NewSignerFromKey(key)
	ts.Check(err)
	return signer, pem.EncodeToMemory(block)
}

func (s *sshServer) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, err := os.OpenFile(s.log, os.O_WRONLY|os.O_APPEND, 0); err == nil {
		fmt.Fprintln(f, text)
		f.Close()
	}
}

func (s *sshServer) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, channels, requests, err := ssh.NewServerConn(c, s.config)
			if err != nil {
				return
			}
			go ssh.DiscardRequests(requests)
			for channel := range channels {
				if session, requests, err := channel.Accept(); err == nil {
					go s.session(session, requests)
				}
			}
		}()
	}
}

// session runs the one command that git sends: git-upload-pack 'PATH'.
func (s *sshServer) session(c ssh.Channel, requests <-chan *ssh.Request) {
	defer c.Close()
	for r := range requests {
		if r.Type != "exec" {
			s.note("asked for " + r.Type)
			_ = r.Reply(r.Type == "env", nil)
			continue
		}
		_ = r.Reply(true, nil)
		_, path, _ := strings.Cut(string(r.Payload[4:]), " ")
		cmd := exec.Command("git", "-c", "safe.directory=*", "upload-pack", filepath.Join(s.dir, strings.Trim(path, "'")))
		cmd.Stdin, cmd.Stdout, cmd.Stderr = c, c, c.Stderr()
		status := []byte{0, 0, 0, 0}
		if cmd.Run() != nil {
			status[3] = 1
		}
		_, _ = c.SendRequest("exit-status", false, status)
		return
	}
}
