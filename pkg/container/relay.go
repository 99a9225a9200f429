// This file owns the way of a signal from the caller to the command.

package container

import (
	"cmp"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// The signals of real time, as the C library counts them.
const (
	firstRealtime = 34
	lastRealtime  = 64
)

// ParseSignal reads a name, with SIG or without, such as TERM or RTMIN+3, or a number.
func ParseSignal(text string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(text); err == nil && isSignal(n) {
		return syscall.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	if s := unix.SignalNum("SIG" + name); s != 0 {
		return s, nil
	}
	for word, base := range map[string]int{"RTMIN": firstRealtime, "RTMAX": lastRealtime} {
		offset, isRealtime := strings.CutPrefix(name, word)
		n, err := strconv.Atoi(cmp.Or(offset, "+0"))
		if signed := offset == "" || offset[0] == '+' || offset[0] == '-'; isRealtime && signed && err == nil && base+n >= firstRealtime && base+n <= lastRealtime {
			return syscall.Signal(base + n), nil
		}
	}
	return 0, errors.New("invalid signal: " + text)
}

func isSignal(number int) bool { return number > 0 && number < 65 }

// Relay hands signals to the command of a container. Before there is a command they end the run. While a command starts
// they wait for it: it may be at work before the relay hears of it.
type Relay struct {
	abandon func(syscall.Signal)

	mu       sync.Mutex
	process  signalled
	starting bool
	waiting  []syscall.Signal
	asked    int // signals that ask to end
}

type signalled interface{ Signal(os.Signal) error }

// NewRelay makes a relay. It calls abandon with a signal that comes before there is a command.
func NewRelay(abandon func(syscall.Signal)) *Relay { return &Relay{abandon: abandon} }

// Hand passes one signal on. The third that asks to end kills, as docker's client does: the first process of a container
// need not heed any other signal.
func (r *Relay) Hand(s syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s == syscall.SIGINT || s == syscall.SIGTERM {
		r.asked++
	}
	switch {
	case r.process == nil && r.starting && r.asked < 2:
		r.waiting = append(r.waiting, s)
	case r.process == nil:
		r.abandon(s)
	case r.asked >= 3:
		_ = r.process.Signal(syscall.SIGKILL)
	default:
		_ = r.process.Signal(s)
	}
}

// End kills the command for a signal that is not to reach it; before there is a command, it ends the run.
func (r *Relay) End(s syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if r.process == nil {
		r.abandon(s)
		return
	}
	_ = r.process.Signal(syscall.SIGKILL)
}

// start says that a command is on its way.
func (r *Relay) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.starting = true
}

// to says which process gets the signals from now on; nil is none.
func (r *Relay) to(p signalled) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p != nil {
		for _, s := range r.waiting {
			_ = p.Signal(s)
		}
	}
	r.process, r.starting, r.waiting = p, false, nil
}

// stopped says whether the caller asked the container to end.
func (r *Relay) stopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked > 0
}
