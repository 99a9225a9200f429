// This file owns agents that live as long as a build, with keys that are files.

package sshagent

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/gbuild/gbuild/internal/hint"
)

// maxKey is more than any private key has, in bytes.
const maxKey = 100 << 10

// ServeKeys starts an agent with the keys of the files, and returns its socket. Who is served may use the keys, and can
// neither read nor change them. stop ends the agent, and removes the socket. That is below $TMPDIR, and not in the state: ssh, which is
// told its path, takes no more than 107 bytes, and no byte of a key is in it.
func ServeKeys(files []string, read func(name string) ([]byte, error)) (socket string, stop func(), err error) {
	ring := agent.NewKeyring()
	for _, name := range files {
		if err := addKey(ring, name, read); err != nil {
			return "", nil, err
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
	go serveKeys(l, signer{ring})
	return socket, func() { l.Close(); os.RemoveAll(dir) }, nil
}

// addKey reads one file. A key with a passphrase is refused: nobody could be asked for it.
func addKey(ring agent.Agent, name string, read func(string) ([]byte, error)) error {
	text, err := read(name)
	if err == nil && len(text) > maxKey {
		err = fmt.Errorf("%s is larger than %d kB", name, maxKey/1000)
	}
	if err != nil {
		return fmt.Errorf("reading key: %w", err)
	}
	key, err := ssh.ParseRawPrivateKey(text)
	if protected := new(ssh.PassphraseMissingError); errors.As(err, &protected) {
		err = hint.Wrap(err, "add it to an agent with ssh-add, and give --ssh default")
	}
	if err == nil {
		err = ring.Add(agent.AddedKey{PrivateKey: key})
	}
	if err != nil {
		return fmt.Errorf("reading key %s: %w", name, err)
	}
	return nil
}

// serveKeys serves each client that connects, until the socket is closed.
func serveKeys(l net.Listener, a agent.Agent) {
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

// signer refuses all that changes an agent.
type signer struct{ agent.Agent }

var errReadOnly = errors.New("this agent only signs")

func (signer) Add(agent.AddedKey) error   { return errReadOnly }
func (signer) Remove(ssh.PublicKey) error { return errReadOnly }
func (signer) RemoveAll() error           { return errReadOnly }
func (signer) Lock([]byte) error          { return errReadOnly }
func (signer) Unlock([]byte) error        { return errReadOnly }
