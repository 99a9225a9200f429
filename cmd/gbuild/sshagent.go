package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/gbuild/gbuild/pkg/build"
)

// sshAgents reads --ssh ID[=SOCKET|KEY[,KEY]]: the user's agent, or one that has the keys of these files and lives as
// long as the build. The function that it returns ends what it started.
func (a *app) sshAgents(list []string) (agents map[string]build.Secret, stop func(), err error) {
	var undo []func()
	stop = func() {
		for _, f := range undo {
			f()
		}
	}
	agents = map[string]build.Secret{}
	for _, s := range list {
		id, place, _ := strings.Cut(s, "=")
		if place == "" {
			place = a.env("SSH_AUTH_SOCK")
		}
		info, err := os.Stat(strings.Split(place, ",")[0])
		if err != nil {
			stop()
			return nil, nil, hinted{fmt.Errorf("--ssh %s: no ssh agent listens at %q", s, place),
				"start one (eval $(ssh-agent); ssh-add), or name its socket or key files: --ssh default=PATH"}
		}
		if info.Mode()&os.ModeSocket == 0 {
			socket, end, err := serveKeys(strings.Split(place, ","))
			if err != nil {
				stop()
				return nil, nil, fmt.Errorf("--ssh %s: %w", s, err)
			}
			undo, place = append(undo, end), socket
		}
		agents[id] = build.Secret{Socket: place}
	}
	return agents, stop, nil
}

// serveKeys starts an agent with the keys of the files, and returns its socket.
func serveKeys(files []string) (socket string, stop func(), err error) {
	ring := agent.NewKeyring()
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", nil, fmt.Errorf("reading key: %w", err)
		}
		key, err := ssh.ParseRawPrivateKey(text)
		if protected := new(ssh.PassphraseMissingError); errors.As(err, &protected) {
			err = hinted{err, "add it to an agent with ssh-add, and give --ssh default"}
		}
		if err == nil {
			err = ring.Add(agent.AddedKey{PrivateKey: key})
		}
		if err != nil {
			return "", nil, fmt.Errorf("reading key %s: %w", name, err)
		}
	}
	dir, err := os.MkdirTemp("", "gbuild-ssh-")
	if err != nil {
		return "", nil, err
	}
	socket = filepath.Join(dir, "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		os.RemoveAll(dir)
		return "", nil, err
	}
	go serveAgent(l, signer{ring})
	return socket, func() { l.Close(); os.RemoveAll(dir) }, nil
}

func serveAgent(l net.Listener, a agent.Agent) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			agent.ServeAgent(a, c) // its error is that of one client, which sees it too
		}()
	}
}

// signer is an agent whose keys the RUN may use, and not change.
type signer struct{ agent.Agent }

var errReadOnly = errors.New("this agent only signs")

func (signer) Add(agent.AddedKey) error   { return errReadOnly }
func (signer) Remove(ssh.PublicKey) error { return errReadOnly }
func (signer) RemoveAll() error           { return errReadOnly }
func (signer) Lock([]byte) error          { return errReadOnly }
func (signer) Unlock([]byte) error        { return errReadOnly }
