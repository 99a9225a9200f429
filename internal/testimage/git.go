// This file owns servers of git repositories.

package testimage

import (
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// GitOverHTTP serves the repositories below a directory, by git itself.
func GitOverHTTP(dir string) (http.Handler, error) {
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return nil, fmt.Errorf("asking git for its programs: %w", err)
	}
	return &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"),
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1",
			"GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}}, nil
}

// GitOverSSH serves the repositories below a directory to who has its key, at an address of loopback.
type GitOverSSH struct {
	Address string // HOST:PORT
	Key     []byte // the private key that it takes, as a file of ssh has it
	Known   string // its line for a file of known hosts

	dir      string
	note     func(string)
	config   *ssh.ServerConfig
	listener net.Listener
}

// NewGitOverSSH starts a server, which tells note of each key that it is offered, and what else it is asked for.
func NewGitOverSSH(dir string, note func(string)) (*GitOverSSH, error) {
	mine, text, err := newSSHKey()
	if err != nil {
		return nil, err
	}
	host, _, err := newSSHKey()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	known := "[127.0.0.1]:" + port + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host.PublicKey())))
	s := &GitOverSSH{Address: l.Addr().String(), Key: text, Known: known, dir: dir, note: note, listener: l}
	s.config = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		note("offered " + ssh.FingerprintSHA256(key))
		if string(key.Marshal()) != string(mine.PublicKey().Marshal()) {
			return nil, errors.New("who is that?")
		}
		return nil, nil
	}}
	s.config.AddHostKey(host)
	go s.serve()
	return s, nil
}

// Close ends the server.
func (s *GitOverSSH) Close() { s.listener.Close() }

func newSSHKey() (ssh.Signer, []byte, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, "test")
	if err != nil {
		return nil, nil, err
	}
	signer, err := ssh.NewSignerFromKey(key)
	return signer, pem.EncodeToMemory(block), err
}

func (s *GitOverSSH) serve() {
	for {
		c, err := s.listener.Accept()
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
func (s *GitOverSSH) session(c ssh.Channel, requests <-chan *ssh.Request) {
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
