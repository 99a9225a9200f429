// This file counts the bytes that move, for Options.Report.

package image

import (
	"io"
	"sync"
)

// meter adds up what moves. Nil counts nothing.
type meter struct {
	mu          sync.Mutex
	done, total int64
	report      func(done, total int64)
}

// add counts bytes moved; more bytes expected. Both may be negative, when a transfer starts over.
func (m *meter) add(done, total int64) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += done
	m.total += total
	if m.report != nil {
		m.report(m.done, m.total)
	}
}

// tell changes who is told.
func (m *meter) tell(report func(done, total int64)) {
	m.mu.Lock()
	m.report = report
	m.mu.Unlock()
	m.add(0, 0)
}

// metered counts the bytes of one transfer, and takes them back when it has to start over.
type metered struct {
	io.ReadCloser
	m     *meter
	n     int64
	grows bool // The total is not known before the end, so it grows with what is read.
}

// Read implements io.Reader.
func (r *metered) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.n += int64(n)
	r.count(int64(n))
	return n, err
}

func (r *metered) count(n int64) {
	if r.grows {
		r.m.add(n, n)
	} else {
		r.m.add(n, 0)
	}
}

// undo takes back all that was counted. A transfer that starts over counts its bytes again.
func (r *metered) undo() { r.count(-r.n) }
