// Package lease keeps what running processes use from being removed by another. A lease is a file that lists what a process uses, an Entry
// a line, and whose lock says that the process lives: a dead one's is found by its free lock. A gate keeps a removal and the beginning of a
// use apart: whoever begins to use something passes it together with others, and whoever removes alone.
//
// The package knows neither what its entries name nor where that lies. It reads and writes leases and their gate, and removes nothing else.
package lease

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
)

// Entry names a thing that may be used. It has no line break.
type Entry string

// Lease is that of this process.
type Lease struct {
	dir, gate string // where all leases lie; the file that is locked
	mu        sync.Mutex
	file      *os.File
	passage   *os.File // gate, open
	seen      map[Entry]bool
	whole     map[Entry]bool // what is held with all that it stands on
}

// New is a lease in a directory of leases, which nothing is written to before something is held.
func New(dir, gate string) *Lease { return &Lease{dir: dir, gate: gate} }

// IsWhole says whether SetWhole has noted the entry.
func (l *Lease) IsWhole(e Entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.whole[e]
}

// SetWhole notes that what the entry stands on is held, too. It notes nothing where the lease could not be written.
func (l *Lease) SetWhole(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[e] {
		l.whole[e] = true
	}
}

// Hold protects an object until the lease is closed, and says whether it is there: exists is called while nothing can be
// removed. Where leases cannot be written, nothing can be removed either, so failures to write the lease do not matter.
func (l *Lease) Hold(e Entry, path string, exists func() bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[e] {
		return exists()
	}
	defer l.enter()()
	if !exists() {
		return false
	}
	if l.open() == nil {
		l.file.WriteString(string(e) + "\n")
		l.seen[e] = true
		now := time.Now()
		os.Chtimes(path, now, now)
	}
	return true
}

// enter returns when nothing is removed, and nothing will be until the function that it returns is called.
func (l *Lease) enter() (done func()) {
	if l.passage == nil {
		f, err := os.OpenFile(l.gate, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return func() {}
		}
		l.passage = f
	}
	_ = durable.Hold(l.passage, durable.Shared) // where nothing can be locked, nothing is removed
	return func() { unix.Flock(int(l.passage.Fd()), unix.LOCK_UN) }
}

// Alone returns when nobody begins to use anything, and nobody will until the function that it returns is called. What is used already
// Each tells.
func (l *Lease) Alone(ctx context.Context) (done func(), err error) {
	f, err := durable.Lock(ctx, l.gate, durable.Exclusive)
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}

// open makes the file of the lease, when something is held for the first time.
func (l *Lease) open() error {
	if l.file != nil {
		return nil
	}
	f, err := durable.Lock(context.Background(), filepath.Join(l.dir, rand.Text()), durable.Exclusive)
	if err != nil {
		return err
	}
	l.file, l.seen, l.whole = f, map[Entry]bool{}, map[Entry]bool{}
	return nil
}

// Close gives everything back, and forgets what was held: the lease may be used again.
func (l *Lease) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if l.passage != nil {
		err = l.passage.Close()
	}
	if l.file != nil {
		err = errors.Join(err, os.Remove(l.file.Name()), l.file.Close())
	}
	l.file, l.passage, l.seen, l.whole = nil, nil, nil, nil
	return err
}

// Reap removes the leases of dead processes.
func (l *Lease) Reap() {
	l.Each(func([]Entry) {})
}

// Each calls fn with the entries of every live lease, and removes the dead ones.
func (l *Lease) Each(fn func([]Entry)) {
	files, _ := os.ReadDir(l.dir)
	for _, d := range files {
		path := filepath.Join(l.dir, d.Name())
		held, err := durable.TryLock(path, durable.Exclusive)
		if err == nil {
			os.Remove(path)
			held.Close()
			continue
		}
		fn(readEntries(path))
	}
}

func readEntries(path string) []Entry {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	var all []Entry
	for scan := bufio.NewScanner(f); scan.Scan(); {
		all = append(all, Entry(scan.Text()))
	}
	return all
}
