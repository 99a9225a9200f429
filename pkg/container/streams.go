// This file owns what the command of a detached container reads and writes: what it says goes to its log and to everybody who is
// attached, and what these say comes to it.

package container

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/gbuild/gbuild/pkg/runtime"
)

// Streams are those of one container. The zero value is ready.
type Streams struct {
	mu     sync.Mutex
	guests map[*guest]bool
	first  []chunk       // what was said before the first guest came, as far as firstKept goes
	met    bool          // a guest has come
	came   chan struct{} // It is closed then; nil until somebody waits.
	stdin  *os.File
	resize chan runtime.TerminalSize
}

// chunk is a part of what was said.
type chunk struct {
	toStderr bool
	text     []byte
}

// firstKept is how much is kept for the first guest: who starts a container and attaches to it comes a moment later than the
// command.
const firstKept = 1 << 20

// guest is somebody who is attached. What is said waits for who is slow, and not for who has gone.
type guest struct {
	out, err *os.File
	chunks   chan chunk
	gone     <-chan struct{}
	done     chan struct{} // It is closed when all is written.
}

// Output is a writer for one output of the command, which log gets, too.
func (s *Streams) Output(toStderr bool, log io.Writer) io.Writer {
	return output{s, toStderr, log}
}

type output struct {
	streams  *Streams
	toStderr bool
	log      io.Writer
}

// Write implements io.Writer. That the log cannot be written is no reason to keep it from who is attached.
func (o output) Write(p []byte) (int, error) {
	n, err := o.log.Write(p)
	o.streams.say(chunk{o.toStderr, append([]byte(nil), p...)})
	return n, err
}

func (s *Streams) say(c chunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.met && len(s.first) < firstKept/512 && kept(s.first)+len(c.text) <= firstKept {
		s.first = append(s.first, c)
	}
	for g := range s.guests {
		g.tell(c)
	}
}

func kept(all []chunk) (n int) {
	for _, c := range all {
		n += len(c.text)
	}
	return n
}

func (g *guest) tell(c chunk) {
	select {
	case g.chunks <- c:
	case <-g.gone:
	}
}

// write writes what comes.
func (g *guest) write() {
	defer close(g.done)
	for c := range g.chunks {
		to := g.out
		if c.toStderr {
			to = g.err
		}
		_, _ = to.Write(c.text) // who cannot be written to hears nothing
	}
}

// begin prepares for another run of the command: its input and the changes of its terminal's size are for nobody who reads them for
// the run before.
func (s *Streams) begin() (stdin io.Reader, resize <-chan runtime.TerminalSize, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
	in, out, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	s.stdin, s.resize = out, make(chan runtime.TerminalSize, 16)
	return in, s.resize, nil
}

// end closes what begin made. The caller has the lock.
func (s *Streams) end() {
	if s.stdin != nil {
		s.stdin.Close()
		close(s.resize)
	}
	s.stdin, s.resize = nil, nil
}

// setSize tells the terminal of the command its size. One that nobody has asked for yet may be lost.
func (s *Streams) setSize(size runtime.TerminalSize) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.resize <- size:
	default:
	}
}

// attach adds a guest until gone is closed, or leave is called, which waits until the guest has heard all. The first one that asks
// for the beginning hears what was said before.
func (s *Streams) attach(in, out, err *os.File, fromBegin bool, gone <-chan struct{}) (leave func()) {
	g := &guest{out: out, err: err, chunks: make(chan chunk, 64), gone: gone, done: make(chan struct{})}
	go g.write()
	s.mu.Lock()
	if s.guests == nil {
		s.guests = map[*guest]bool{}
	}
	if fromBegin {
		for _, c := range s.first {
			g.tell(c)
		}
	}
	if s.came != nil && !s.met {
		close(s.came)
	}
	s.guests[g], s.first, s.met = true, nil, true
	s.mu.Unlock()
	go func() { _, _ = io.Copy(input{s}, in) }()
	return func() {
		s.mu.Lock()
		delete(s.guests, g)
		close(g.chunks)
		s.mu.Unlock()
		select {
		case <-g.done:
		case <-gone:
		}
	}
}

// awaitGuest returns when a guest has come, or will not come any more.
func (s *Streams) awaitGuest() {
	s.mu.Lock()
	met := s.met
	s.came = make(chan struct{})
	s.mu.Unlock()
	if met {
		return
	}
	select {
	case <-s.came:
	case <-time.After(patience):
	}
}

// input is what guests write to. Between two runs of the command nobody reads it.
type input struct{ streams *Streams }

// Write implements io.Writer.
func (i input) Write(p []byte) (int, error) {
	i.streams.mu.Lock()
	to := i.streams.stdin
	i.streams.mu.Unlock()
	if to != nil {
		_, _ = to.Write(p)
	}
	return len(p), nil
}
