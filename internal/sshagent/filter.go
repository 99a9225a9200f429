// This file owns what a RUN may say to an ssh agent: ask for the keys that it has, and have data signed with them. Everything else
// would change the agent (its keys, its lock, the libraries that it loads), which outlives the build.

package sshagent

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
)

// The types of messages of the agent protocol (draft-miller-ssh-agent) that are spoken here.
const (
	agentFailure           = 5
	agentRequestIdentities = 11
	agentSignRequest       = 13
)

// maxAgentMessage is the most that OpenSSH's agent and client take as one message.
const maxAgentMessage = 256 << 10

var errAgentMessage = errors.New("a message of the ssh agent protocol is empty or too long")

// filterAgent answers the messages of a RUN, by the agent those that are allowed and by a refusal all others, which the
// agent never sees. It ends when either side does.
func filterAgent(from io.ReadWriter, agent net.Conn) error {
	for {
		request, err := readAgentMessage(from)
		if err != nil {
			return err
		}
		answer := []byte{agentFailure}
		if kind := request[0]; kind == agentRequestIdentities || kind == agentSignRequest {
			if answer, err = askThe(agent, request); err != nil {
				return err
			}
		}
		if err := writeAgentMessage(from, answer); err != nil {
			return err
		}
	}
}

func askThe(agent net.Conn, request []byte) ([]byte, error) {
	if err := writeAgentMessage(agent, request); err != nil {
		return nil, err
	}
	return readAgentMessage(agent)
}

// readAgentMessage reads a length of four bytes and a message of that length, which begins with its type.
func readAgentMessage(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n == 0 || n > maxAgentMessage {
		return nil, errAgentMessage
	}
	message := make([]byte, n)
	_, err := io.ReadFull(r, message)
	return message, err
}

func writeAgentMessage(w io.Writer, message []byte) error {
	framed := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(message)), uint32(len(message)))
	_, err := w.Write(append(framed, message...))
	return err
}
