// This file owns the copying between a socket of this process and one of the stack.

package network

import (
	"io"
	"net"
	"sync"
	"time"
)

const (
	udpIdle  = 60 * time.Second // a session of datagrams ends when none came for so long
	datagram = 65535
)

// halfCloser is a connection of which one direction can be ended.
type halfCloser interface {
	io.ReadWriter
	CloseWrite() error
	CloseRead() error
}

// join copies both ways until both ends have said all.
func join(a, b halfCloser) {
	var both sync.WaitGroup
	both.Go(func() { stream(a, b) })
	both.Go(func() { stream(b, a) })
	both.Wait()
}

// stream copies one way; the end of it is handed on, so that the other way may go on.
func stream(to, from halfCloser) {
	_, _ = io.Copy(to, from)
	_ = to.CloseWrite()
	_ = from.CloseRead()
}

// joinDatagrams copies datagrams both ways until none came for a while.
func joinDatagrams(a, b net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { datagrams(a, b) })
	both.Go(func() { datagrams(b, a) })
	both.Wait()
}

// datagrams copies one way. Traffic of either way keeps both open: each sets the other's deadline too.
func datagrams(to, from net.Conn) {
	buf := make([]byte, datagram)
	for {
		_ = from.SetReadDeadline(time.Now().Add(udpIdle))
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		_ = to.SetReadDeadline(time.Now().Add(udpIdle))
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
