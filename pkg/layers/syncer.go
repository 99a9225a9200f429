// When snapshots and blobs reach the disk: many at once, and beside the build.

package layers

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gbuild/gbuild/internal/durable"
)

// syncDelay is for how long more may join what is flushed. Most builds end before, and then flush once.
const syncDelay = time.Second

// syncer brings committed snapshots and blobs to the disk, many at once and beside the build. Each is marked before it gets
// its name, in the directory unsynced, with the boot in which it was written, until it is on the disk. One whose mark is of
// another boot may have lost a part when the machine went down, and is dropped; the death of a process loses nothing. A
// mark needs no fsync: filesystems write the making of a name before a later renaming.
type syncer struct {
	disk     disk
	mu       sync.Mutex // guards timer
	timer    *time.Timer
	beside   sync.WaitGroup
	flushing sync.Mutex
}

// bootID names the time since the machine was started.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(id))
}

// blobMark tells the marks of blobs from those of snapshots.
const blobMark = "sha256-"

// unsynced is a snapshot or a blob that may not be on the disk yet, and its mark.
type unsynced struct{ mark, of string }

// markOf is the mark of the snapshot or blob that will be at path.
func (y *syncer) markOf(path string) string {
	name := filepath.Base(path)
	if path == y.disk.path("blobs", "sha256", name) {
		return y.disk.path("unsynced", blobMark+name)
	}
	return filepath.Join(filepath.Dir(filepath.Dir(path)), "unsynced", name)
}

// marks lists what is marked, of all kinds of snapshots and of blobs.
func (y *syncer) marks() (all []unsynced) {
	for _, k := range kinds {
		names, _ := os.ReadDir(y.disk.of(k, "unsynced"))
		for _, n := range names {
			of := y.disk.of(k, "snapshots", n.Name())
			if blob, ok := strings.CutPrefix(n.Name(), blobMark); ok {
				of = y.disk.path("blobs", "sha256", blob)
			}
			all = append(all, unsynced{y.disk.of(k, "unsynced", n.Name()), of})
		}
	}
	return all
}

// mark makes a symbolic link to the name of this boot: a file that is there at once with what is in it. All that is to be
// at path must have been written.
func (y *syncer) mark(path string) error {
	mark := y.markOf(path)
	err := os.Symlink(bootID(), mark)
	if errors.Is(err, fs.ErrExist) {
		os.Remove(mark)
		err = os.Symlink(bootID(), mark)
	}
	return err
}

// forget drops what was not on the disk when the machine went down.
func (y *syncer) forget() {
	marks := y.marks()
	if len(marks) == 0 {
		return
	}
	boot := bootID()
	for _, m := range marks {
		written, err := os.Readlink(m.mark)
		if errors.Is(err, fs.ErrNotExist) || written == boot {
			continue
		}
		if y.disk.discard(m.of) == nil {
			os.Remove(m.mark)
		}
	}
}

// soon flushes in a moment, unless the store is flushed or closed before.
func (y *syncer) soon() {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.timer == nil {
		y.beside.Add(1)
		y.timer = time.AfterFunc(syncDelay, func() {
			defer y.beside.Done()
			y.mu.Lock()
			y.timer = nil
			y.mu.Unlock()
			_ = y.flush() // the marks stay, and the next flush says it
		})
	}
}

// now lets the flush that soon has set begin at once.
func (y *syncer) now() {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.timer != nil && y.timer.Stop() {
		y.timer.Reset(0)
	}
}

// flush returns when all snapshots and blobs that have their names are on the disk, also those of other processes.
func (y *syncer) flush() error {
	y.flushing.Lock()
	defer y.flushing.Unlock()
	var named []unsynced // what gets its name only now may miss it after a crash, so it keeps its mark
	for _, m := range y.marks() {
		if _, err := os.Lstat(m.of); err == nil {
			named = append(named, m)
		}
	}
	if len(named) == 0 {
		return nil
	}
	if err := durable.SyncFilesystem(string(y.disk)); err != nil {
		return err
	}
	for _, m := range named {
		os.Remove(m.mark)
	}
	return nil
}

// end flushes, and leaves nothing running.
func (y *syncer) end() error {
	y.mu.Lock()
	if y.timer != nil && y.timer.Stop() {
		y.timer = nil
		y.beside.Done()
	}
	y.mu.Unlock()
	y.beside.Wait()
	return y.flush()
}
