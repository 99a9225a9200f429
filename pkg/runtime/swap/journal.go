// This file owns the journal: what is to be taken back, and how it reaches the disk before it is needed.

package swap

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
)

// phase is how far the work has come.
type phase int

const (
	entering phase = iota // things are put in their places
	shown                 // all are there, and a command may be changing them
	leaving               // they are taken back
)

// journal says what is to be undone. Its paths are bytes, which need be no text.
type journal struct {
	Root    string
	Phase   phase
	Entries []entry
	Dirs    []touched
	Tick    int64 // nanoseconds; what was copied in and has a ctime up to this is unchanged. 0: unknown
}

// entry is one thing that is shown, or about to be. What exists says how far that has come: In is there until it is put in its place,
// Out when it was taken back.
type entry struct {
	Kind   Kind
	Target string // the place in the root, without links
	Source string
	In     string // where it lies before
	Out    string // where it lies afterwards; of what is renamed only, this is In, and both are Source
	Stash  string // where that lies which the root has in its place
	Link   bool   // the target is a symbolic link, on another file system than the root
	Back   bool   // what was changed is copied back to Source
	Dir    string // the directory in which it appears, or the first that was made on the way to it
	Made   []string
	Mode   uint32 // of the directory at Source
	UID    uint32
	GID    uint32
}

// touched is a directory in which a thing is shown.
type touched struct {
	Path          string
	Before, After int64 // the times of its last change, in nanoseconds
	Final         int64 // the time that it gets in the end
}

func (j *journal) bringsBack() bool {
	return slices.ContainsFunc(j.Entries, func(e entry) bool { return e.Back })
}

// decideTimes decides which times the directories get: those that they had, unless the command has changed them.
func (s *Swap) decideTimes() error {
	for i := range s.journal.Dirs {
		d := &s.journal.Dirs[i]
		d.Final = d.Before
		if s.journal.Phase != shown {
			continue
		}
		f, err := s.directory(d.Path)
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return err
		}
		var st unix.Stat_t
		err = unix.Fstat(int(f.Fd()), &st)
		f.Close()
		if err != nil {
			return err
		}
		if now := st.Mtim.Nano(); now != d.After {
			d.Final = now
		}
	}
	return nil
}

const journalName = "journal"

func (s *Swap) journalFile() string { return filepath.Join(s.dir, journalName) }

// mustLast says whether a cache is lost without the journal: it is moved into the root, or is about to be replaced.
func (j *journal) mustLast() bool {
	moved := slices.ContainsFunc(j.Entries, func(e entry) bool { return !e.Link && e.In == e.Source })
	return moved || j.Phase == leaving && j.bringsBack()
}

// save writes the journal. Where it must last, it is on the disk when save returns: a cache is to outlive the machine's going down as
// well. Else it is for processes that are killed.
func (s *Swap) save() error {
	var data bytes.Buffer
	if err := gob.NewEncoder(&data).Encode(s.journal); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	if s.journal.mustLast() {
		return s.do("journal on the disk", func() error { return durable.Save(s.journalFile(), data.Bytes()) })
	}
	return s.do("journal", func() error { return durable.Replace(s.journalFile(), data.Bytes()) })
}

// load reads the journal; nil if there is none. One that is empty was not on the disk when the machine went down, so no cache was moved.
func (s *Swap) load() (*journal, error) {
	data, err := os.ReadFile(s.journalFile())
	if errors.Is(err, os.ErrNotExist) || err == nil && len(data) == 0 {
		return nil, nil
	}
	j := &journal{}
	if err == nil {
		err = gob.NewDecoder(bytes.NewReader(data)).Decode(j)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s, which says where caches are that a build was given: %w", s.journalFile(), err)
	}
	return j, nil
}

// forget removes the journal.
func (s *Swap) forget() error {
	return s.do("forget", func() error {
		if err := os.Remove(s.journalFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if !s.journal.mustLast() {
			return nil
		}
		return durable.SyncDir(s.dir)
	})
}

// restoreTime gives a directory in which a thing was shown its time again. It comes before the directory itself is taken away, where it
// is in another thing.
func (s *Swap) restoreTime(name string) error {
	i := slices.IndexFunc(s.journal.Dirs, func(d touched) bool { return d.Path == name })
	f, err := s.directory(name)
	if errors.Is(err, errGone) || i < 0 {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return s.do("times", func() error {
		times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(s.journal.Dirs[i].Final)}
		return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), times, 0)
	})
}
