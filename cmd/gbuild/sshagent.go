package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/build"
)

// sshFlag is one --ssh ID[=SOCKET[,raw=true]|KEY[,KEY]].
type sshFlag struct {
	text, id string
	places   []string // a socket, or files with keys
	raw      bool
}

func (a *app) parseSSHFlag(s string) (f sshFlag, err error) {
	id, list, _ := strings.Cut(s, "=")
	f = sshFlag{text: s, id: cmp.Or(id, "default")}
	for _, place := range strings.Split(list, ",") {
		if value, isRaw := strings.CutPrefix(place, "raw="); isRaw {
			if f.raw, err = strconv.ParseBool(value); err != nil {
				return f, usagef("--ssh %s: raw=%s: it is true or false", s, value)
			}
		} else if place != "" {
			f.places = append(f.places, place)
		}
	}
	if f.raw && len(f.places) != 1 {
		return f, usagef("--ssh %s: raw=true needs the socket of an agent: --ssh %s=SOCKET,raw=true", s, f.id)
	}
	if len(f.places) == 0 {
		f.places = []string{a.env("SSH_AUTH_SOCK")}
	}
	return f, nil
}

// sshAgents reads --ssh: the user's agent, or one that has the keys of these files and lives as long as the build. The
// function that it returns ends what it started.
func (a *app) sshAgents(list []string, read fileReader) (agents map[string]build.Secret, stop func(), err error) {
	var undo []func()
	stop = func() {
		for _, f := range undo {
			f()
		}
	}
	agents = map[string]build.Secret{}
	for _, s := range list {
		f, err := a.parseSSHFlag(s)
		if _, twice := agents[f.id]; err == nil && twice {
			err = usagef("--ssh %s: the id %s is given twice", s, f.id)
		}
		if err == nil {
			var end func()
			agents[f.id], end, err = f.agent(read)
			undo = append(undo, end)
		}
		if err != nil {
			stop()
			return nil, nil, err
		}
	}
	return agents, stop, nil
}

// agent finds or starts the agent; stop ends what was started.
func (f sshFlag) agent(read fileReader) (agent build.Secret, stop func(), err error) {
	stop = func() {}
	sockets, err := f.countSockets()
	switch {
	case err != nil:
		return agent, stop, err
	case sockets == 1 && len(f.places) == 1:
		return build.Secret{Socket: f.places[0], Raw: f.raw}, stop, nil
	case sockets > 0 || f.raw:
		return agent, stop, usagef("--ssh %s: it is the socket of one agent, which may be raw, or key files", f.text)
	}
	socket, end, err := serveKeys(f.places, read)
	if err != nil {
		return agent, stop, fmt.Errorf("--ssh %s: %w", f.text, err)
	}
	return build.Secret{Socket: socket}, end, nil
}

func (f sshFlag) countSockets() (n int, err error) {
	for _, place := range f.places {
		info, err := os.Stat(place)
		if err != nil {
			return 0, hint.Errorf("start one (eval $(ssh-agent); ssh-add), or name its socket or key files: --ssh default=PATH", "--ssh %s: no ssh agent listens at %q", f.text, place)
		}
		if info.Mode()&os.ModeSocket != 0 {
			n++
		}
	}
	return n, nil
}

// serveKeys starts an agent with the keys of the files, and returns its socket.
func serveKeys(files []string, read fileReader) (socket string, stop func(), err error) {
	ring := agent.NewKeyring()
	for _, name := range files {
		text, err := read(name)
		if err == nil && len(text) > maxKeyFile {
			err = fmt.Errorf("%s is larger than %d kB", name, maxKeyFile/1000)
		}
		if err != nil {
			return "", nil, fmt.Errorf("reading key: %w", err)
		}
		key, err := ssh.ParseRawPrivateKey(text)
		if protected := new(ssh.PassphraseMissingError); errors.As(err, &protected) {
			err = hint.Wrap(err, "add it to an agent with ssh-add, and give --ssh default")
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

// maxKeyFile is more than any private key has.
const maxKeyFile = 100 << 10

// signer is an agent whose keys the RUN may use, and not change.
type signer struct{ agent.Agent }

var errReadOnly = errors.New("this agent only signs")

func (signer) Add(agent.AddedKey) error   { return errReadOnly }
func (signer) Remove(ssh.PublicKey) error { return errReadOnly }
func (signer) RemoveAll() error           { return errReadOnly }
func (signer) Lock([]byte) error          { return errReadOnly }
func (signer) Unlock([]byte) error        { return errReadOnly }
