// This file owns the order: in what steps things are shown, taken back, and taken back for a process that died.

package swap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/filecopy"
)

// Kind is how something is shown.
type Kind int

// The kinds.
const (
	Lent   Kind = iota // a directory, and what the command changes in it is kept there
	Copied             // a copy of a file or directory, and what the command changes in it is dropped
	Linked             // a symbolic link to Source, which lies in memory
	Piped              // a pipe out of which the bytes of Source come, for everyone who opens it; of a socket another one, which passes on
	Empty              // an empty directory, and what the command makes in it is dropped
)

// Mount is one thing that is shown.
type Mount struct {
	Kind     Kind
	Source   string  // what is shown; none of an Empty one
	Target   string  // the place in the root; symbolic links in it are followed inside the root
	ReadOnly bool    // of a Lent one: the command gets a copy, and what it changes is dropped
	Mode     *uint32 // of an Empty one; nil: as that of the directory in whose place it is, or 1777
	UID, GID int     // of an Empty one
}

// Swap shows things in one root.
type Swap struct {
	dir, root string
	device    uint64                 // of the file system of dir
	journal   *journal               // nil: nothing is shown
	before    func(step string) bool // of tests: it is called before each change, and says whether that is done; may be nil
	pipes     []*pipe
	relays    []*net.UnixListener
	mounts    func(root string) ([]string, error)
	mounted   []string // the mount points in the root
}

// New makes a Swap for the root directory root. dir is a directory on the file system of root, which is made where it is missing, for
// the journal and for what is put aside; nobody else may use it.
func New(dir, root string) *Swap {
	return &Swap{dir: filepath.Clean(dir), root: filepath.Clean(root), mounts: mountsIn}
}

// Recover takes back what a process has shown that died, if dir has its journal.
func Recover(dir string) error {
	s := &Swap{dir: filepath.Clean(dir)}
	return s.recover()
}

func (s *Swap) recover() (err error) {
	if s.journal, err = s.load(); err != nil {
		return err
	}
	if s.journal == nil {
		return s.sweep()
	}
	s.root = s.journal.Root
	return s.Out()
}

// In shows everything in the list, in its order. On an error nothing is shown.
func (s *Swap) In(ctx context.Context, list []Mount) error {
	if len(list) == 0 {
		return nil
	}
	if err := s.begin(); err != nil {
		return fmt.Errorf("showing files: %w", err)
	}
	apart := map[int]bool{}
	for {
		at, err := s.showAll(ctx, list, apart)
		if err == nil {
			return nil
		}
		if back := s.Out(); back != nil || !errors.Is(err, unix.EXDEV) || apart[at] {
			return errors.Join(fmt.Errorf("showing %s: %w", list[at].Target, err), back)
		}
		apart[at] = true // only by the try is it known what can be renamed: directories of an overlay may not
		if err := s.begin(); err != nil {
			return fmt.Errorf("showing files: %w", err)
		}
	}
}

// begin makes the directory, and refuses one with a journal.
func (s *Swap) begin() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(s.dir, &st); err != nil {
		return err
	}
	s.device = st.Dev
	if exists(s.journalFile()) {
		return fmt.Errorf("%s: something is shown already", s.journalFile())
	}
	var err error
	if s.mounted, err = s.mounts(s.root); err != nil {
		return err
	}
	s.journal = &journal{Root: s.root}
	return s.sweep()
}

// showAll shows everything in the list; apart are those that are copied rather than renamed. On an error it says which one it is of.
func (s *Swap) showAll(ctx context.Context, list []Mount, apart map[int]bool) (at int, err error) {
	for i, m := range list {
		if err := s.show(ctx, i, m, apart[i]); err != nil {
			return i, err
		}
	}
	if s.journal.bringsBack() {
		if s.journal.Tick, err = filecopy.Now(s.dir); err == nil {
			err = filecopy.WaitPast(s.dir, s.journal.Tick)
		}
		if err != nil {
			return len(list) - 1, err
		}
	}
	s.journal.Phase = shown
	return len(list) - 1, s.save()
}

// Out takes back everything. What cannot be taken back stays in the journal.
func (s *Swap) Out() error {
	for _, p := range s.pipes {
		p.close()
	}
	for _, l := range s.relays {
		l.Close()
	}
	s.pipes, s.relays = nil, nil
	if s.journal == nil {
		return nil
	}
	if err := s.out(); err != nil {
		return fmt.Errorf("taking back what was shown: %w", err)
	}
	s.journal = nil
	return nil
}

func (s *Swap) out() error {
	if s.journal.Phase != leaving {
		if err := s.decideTimes(); err != nil {
			return err
		}
		s.journal.Phase = leaving
		if err := s.save(); err != nil {
			return err
		}
	}
	for _, e := range slices.Backward(s.journal.Entries) {
		if err := s.take(e); err != nil {
			return fmt.Errorf("%s: %w", e.Target, err)
		}
	}
	if err := s.bringBack(); err != nil {
		return err
	}
	if err := s.forget(); err != nil {
		return err
	}
	return s.sweep()
}

// do makes a change, unless a test says that it is not to be.
func (s *Swap) do(step string, change func() error) error {
	if s.before != nil && !s.before(step) {
		return nil
	}
	return change()
}

// The beginnings of the names of what lies in the directory beside the journal.
const (
	inPrefix    = "in-"    // what is ready to be shown
	outPrefix   = "out-"   // what was shown
	stashPrefix = "stash-" // what the root has in its place
	freshName   = "fresh"  // a directory that is being made
)

// sweep removes what lies in the directory beside the journal, when there is none any more.
func (s *Swap) sweep() error {
	list, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range list {
		if e.Name() == journalName {
			continue
		}
		if err := s.do("sweep", func() error { return os.RemoveAll(filepath.Join(s.dir, e.Name())) }); err != nil {
			return err
		}
	}
	return nil
}

// path is where a path of the root is.
func (s *Swap) path(name string) string { return filepath.Join(s.root, name) }

func exists(name string) bool {
	_, err := os.Lstat(name)
	return !errors.Is(err, os.ErrNotExist)
}
