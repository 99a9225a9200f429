// This file owns where the credentials of a process are found: a number in its RLIMIT_LOCKS.

package supervisor

import (
	"sync"

	"golang.org/x/sys/unix"
)

// firstNumber is what numbers begin with, so that a limit which somebody has set is no number. A process that awaits its first
// exec has the number that it gets then and awaitingFirst.
const (
	firstNumber   = 0x6762_0000
	awaitingFirst = 0x1000_0000
)

// registry numbers credentials. It only grows, by what set*id and exec can make of users that an image has.
type registry struct {
	mu     sync.RWMutex
	all    []credentials
	number map[credentials]uint64
}

// numberOf is the number of credentials, which get one when they are new.
func (r *registry) numberOf(c credentials) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, known := r.number[c]
	if !known {
		if r.number == nil {
			r.number = map[credentials]uint64{}
		}
		n = firstNumber + uint64(len(r.all))
		r.all = append(r.all, c)
		r.number[c] = n
	}
	return n
}

// with are the credentials that have a number.
func (r *registry) with(number uint64) (c credentials, known bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if number < firstNumber || number-firstNumber >= uint64(len(r.all)) {
		return credentials{}, false
	}
	return r.all[number-firstNumber], true
}

// of are the credentials of a process. One that has not begun has none: see the comment of the package.
func (r *registry) of(pid int) (c credentials, begun bool) {
	var l unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_LOCKS, nil, &l); err != nil {
		return credentials{}, false
	}
	return r.with(l.Cur)
}

// awaiting are the credentials that a process gets by its first exec.
func (r *registry) awaiting(pid int) (c credentials, ok bool) {
	var l unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_LOCKS, nil, &l); err != nil {
		return credentials{}, false
	}
	return r.with(l.Cur - awaitingFirst)
}

// give gives a process credentials.
func (r *registry) give(pid int, c credentials) error {
	var l unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_LOCKS, nil, &l); err != nil {
		return err
	}
	l.Cur = r.numberOf(c)
	return unix.Prlimit(pid, unix.RLIMIT_LOCKS, &l, nil)
}
