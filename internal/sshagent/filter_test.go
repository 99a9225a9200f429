package sshagent

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// watchedAgent is an agent with one key that notes the type of every message it gets.
type watchedAgent struct {
	socket string
	ring   agent.Agent
	mu     sync.Mutex
	got    []byte
}

func newWatchedAgent(t *testing.T) *watchedAgent {
	t.Helper()
	w := &watchedAgent{socket: filepath.Join(t.TempDir(), "agent"), ring: agent.NewKeyring()}
	_, key, err := ed25519.GenerateKey(nil)
	if err == nil {
		err = w.ring.Add(agent.AddedKey{PrivateKey: key, Comment: "one"})
	}
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", w.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.serve(c)
		}
	}()
	return w
}

func (w *watchedAgent) serve(c net.Conn) {
	defer c.Close()
	inner, outer := net.Pipe()
	go agent.ServeAgent(w.ring, inner)
	for {
		m, err := readAgentMessage(c)
		if err != nil {
			return
		}
		w.mu.Lock()
		w.got = append(w.got, m[0])
		w.mu.Unlock()
		writeAgentMessage(outer, m)
		if m, err = readAgentMessage(outer); err != nil || writeAgentMessage(c, m) != nil {
			return
		}
	}
}

func (w *watchedAgent) seen() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got
}

// connectFiltered is what a RUN has: a connection by way of passOn.
func connectFiltered(t *testing.T, agent string, raw bool) net.Conn {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "mounted")
	l, err := Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go PassOn(l, agent, raw)
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestAgentListsAndSignsOnly(t *testing.T) {
	w := newWatchedAgent(t)
	client := agent.NewClient(connectFiltered(t, w.socket, false))
	keys, err := client.List()
	if err != nil || len(keys) != 1 {
		t.Fatalf("%v %v", keys, err)
	}
	signature, err := client.Sign(keys[0], []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePublicKey(keys[0].Marshal())
	if err != nil || key.Verify([]byte("data"), signature) != nil {
		t.Errorf("the signature is wrong: %v", err)
	}
	_, other, _ := ed25519.GenerateKey(nil)
	for name, call := range map[string]func() error{
		"add":    func() error { return client.Add(agent.AddedKey{PrivateKey: other}) },
		"remove": func() error { return client.Remove(keys[0]) },
		"empty":  client.RemoveAll,
		"lock":   func() error { return client.Lock([]byte("x")) },
		"unlock": func() error { return client.Unlock([]byte("x")) },
		"bind":   func() error { _, err := client.Extension("session-bind@openssh.com", []byte("x")); return err },
		"query":  func() error { _, err := client.Extension("query", nil); return err },
	} {
		if call() == nil {
			t.Errorf("%s: is done", name)
		}
	}
	if _, err := client.List(); err != nil {
		t.Errorf("after what is refused: %v", err)
	}
	if !bytes.Equal(w.seen(), []byte{11, 13, 11}) {
		t.Errorf("the agent saw messages %v", w.seen())
	}
}

// TestAgentRefusesEveryOtherType also knows what no client library sends: smart cards, and types of no standard.
func TestAgentRefusesEveryOtherType(t *testing.T) {
	w := newWatchedAgent(t)
	c := connectFiltered(t, w.socket, false)
	for kind := range 256 {
		if kind == agentRequestIdentities || kind == agentSignRequest {
			continue
		}
		writeAgentMessage(c, []byte{byte(kind), 0, 0, 0, 0})
		if m, err := readAgentMessage(c); err != nil || !bytes.Equal(m, []byte{agentFailure}) {
			t.Fatalf("type %d: %v %v", kind, m, err)
		}
	}
	if len(w.seen()) > 0 {
		t.Errorf("the agent saw messages %v", w.seen())
	}
}

func TestAgentMessagesAreBounded(t *testing.T) {
	w := newWatchedAgent(t)
	for _, length := range []uint32{0, maxAgentMessage + 1, 1<<32 - 1} {
		c := connectFiltered(t, w.socket, false)
		c.Write(binary.BigEndian.AppendUint32(nil, length))
		c.Write([]byte{agentRequestIdentities})
		if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil && len(rest) > 0 {
			t.Errorf("length %d: %v %v", length, rest, err)
		}
	}
	if len(w.seen()) > 0 {
		t.Errorf("the agent saw messages %v", w.seen())
	}
	// An agent that answers without end is cut off as well.
	endless := filepath.Join(t.TempDir(), "endless")
	l, err := net.Listen("unix", endless)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Write(bytes.Repeat([]byte{0xff}, 1<<20))
		}
	}()
	c := connectFiltered(t, endless, false)
	writeAgentMessage(c, []byte{agentRequestIdentities})
	if rest, _ := io.ReadAll(c); len(rest) > 0 {
		t.Errorf("%d bytes of an endless answer", len(rest))
	}
}

func TestRawAgent(t *testing.T) {
	w := newWatchedAgent(t)
	client := agent.NewClient(connectFiltered(t, w.socket, true))
	if err := client.RemoveAll(); err != nil {
		t.Error(err)
	}
}
