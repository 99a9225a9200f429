// Leases: what running processes use is not pruned. A lease is a file that lists keys and digests, and whose lock says that the
// process lives. gc.lock keeps a prune and the beginning of a use apart.

package layers

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
)

// entry names a snapshot ("k <key>", or with another letter for its kind) or a blob ("b <digest>") in a lease.
type entry string

// entry is that of the snapshot of k of a kind.
func (is kind) entry(k Key) entry {
	return entry(map[kind]string{real: "k ", marked: "m ", lossy: "l "}[is] + k.String())
}

func snapshotEntry(k Key) entry { return ownKind().entry(k) }

func blobEntry(hex string) entry { return entry("b " + hex) }

// lease keeps what this process uses from being pruned by another: a file that lists it, and whose flock says that the
// process lives. Its lines are entries.
type lease struct {
	disk  disk
	mu    sync.Mutex
	file  *os.File
	gc    *os.File // gc.lock
	seen  map[entry]bool
	whole map[Key]bool // snapshots that are held with all that they stand on, whose files are there
}

// isWhole says whether setWhole has noted the snapshot.
func (l *lease) isWhole(k Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.whole[k]
}

// setWhole notes nothing where the lease could not be written.
func (l *lease) setWhole(k Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[snapshotEntry(k)] {
		l.whole[k] = true
	}
}

// hold protects an object until the store is closed, and says whether it is there: exists is called while nothing can be
// pruned. A store that cannot be written cannot be pruned either, so failures to write the lease do not matter.
func (l *lease) hold(e entry, path string, exists func() bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[e] {
		return exists()
	}
	defer l.keepPruningOut()()
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

// keepPruningOut returns when nothing is pruned, and nothing will be until the function that it returns is called.
func (l *lease) keepPruningOut() (done func()) {
	if l.gc == nil {
		gc, err := os.OpenFile(l.disk.path("gc.lock"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return func() {}
		}
		l.gc = gc
	}
	_ = durable.Hold(l.gc, durable.Shared) // where nothing can be locked, nothing is pruned
	return func() { unix.Flock(int(l.gc.Fd()), unix.LOCK_UN) }
}

// open makes the file of the lease, when something is held for the first time.
func (l *lease) open() error {
	if l.file != nil {
		return nil
	}
	f, err := durable.Lock(context.Background(), l.disk.path("leases", rand.Text()), durable.Exclusive)
	if err != nil {
		return err
	}
	l.file, l.seen, l.whole = f, map[entry]bool{}, map[Key]bool{}
	return nil
}

// close gives everything back, and forgets what was held: the lease may be used again.
func (l *lease) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if l.gc != nil {
		err = l.gc.Close()
	}
	if l.file != nil {
		err = errors.Join(err, os.Remove(l.file.Name()), l.file.Close())
	}
	l.file, l.gc, l.seen, l.whole = nil, nil, nil, nil
	return err
}

// reap removes the leases of dead processes.
func (l *lease) reap() {
	l.each(func([]entry) {})
}

// each calls fn with the entries of every live lease, and removes the dead ones.
func (l *lease) each(fn func([]entry)) {
	files, _ := os.ReadDir(l.disk.path("leases"))
	for _, d := range files {
		path := l.disk.path("leases", d.Name())
		held, err := durable.TryLock(path, durable.Exclusive)
		if err == nil {
			os.Remove(path)
			held.Close()
			continue
		}
		fn(readEntries(path))
	}
}

func readEntries(path string) []entry {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	var all []entry
	for scan := bufio.NewScanner(f); scan.Scan(); {
		all = append(all, entry(scan.Text()))
	}
	return all
}
