// This file owns secrets that a command sees through a pipe, since its root directory is such that no file in memory can be reached: so
// their bytes reach no disk there, either.

package swap

import (
	"errors"
	"fmt"
	"os"
	"path"
	"sync"

	"golang.org/x/sys/unix"
)

// pipe gives the bytes of a secret to everyone who opens its name. Each of them gets a pipe of his own: when one is opened, another takes
// its place before anything is written.
type pipe struct {
	dir         *os.File // O_PATH: where it is shown
	name, fresh string
	like        unix.Stat_t // the secret
	data        []byte
	ended       chan struct{}

	mu     sync.Mutex
	now    *os.File // O_PATH: the one that has the name
	closed bool
}

// pipeSize is what a pipe takes before somebody reads. So nobody is waited for.
const pipeSize = 64 << 10

// makePipe makes a pipe with the owner and the mode of a secret.
func makePipe(name string, like *unix.Stat_t) error {
	if err := unix.Mkfifo(name, 0o600); err != nil {
		return &os.PathError{Op: "mkfifo", Path: name, Err: err}
	}
	return errors.Join(os.Lchown(name, int(like.Uid), int(like.Gid)), unix.Chmod(name, like.Mode&0o7777))
}

// preparePipe makes ready what is shown of a secret.
func (s *Swap) preparePipe(e *entry) error {
	var like unix.Stat_t
	if err := unix.Stat(e.Source, &like); err != nil {
		return &os.PathError{Op: "stat", Path: e.Source, Err: err}
	}
	if like.Mode&unix.S_IFMT == unix.S_IFSOCK {
		return s.do("prepare", func() error { return s.prepareRelay(e, &like) })
	}
	if like.Size > pipeSize {
		return fmt.Errorf("it has %d bytes, and a secret that is given by a pipe has at most %d", like.Size, pipeSize)
	}
	return s.do("prepare", func() error { return makePipe(e.In, &like) })
}

// serve begins to answer who opens a pipe that is in its place.
func (s *Swap) serve(e entry) error {
	if st, err := os.Stat(e.Source); err != nil || st.Mode().Type() == os.ModeSocket {
		return err
	}
	data, err := os.ReadFile(e.Source)
	if err != nil {
		return err
	}
	p := &pipe{name: path.Base(e.Target), fresh: e.In, data: data, ended: make(chan struct{})}
	if err := unix.Stat(e.Source, &p.like); err != nil {
		return err
	}
	if p.dir, err = s.directory(path.Dir(e.Target)); err != nil {
		return err
	}
	err = p.hold()
	if err == nil {
		err = p.mayWrite()
	}
	if err != nil {
		p.dir.Close()
		return err
	}
	s.pipes = append(s.pipes, p)
	go p.serve()
	return nil
}

// hold opens the pipe that has the name now.
func (p *pipe) hold() error {
	fd, err := unix.Openat(int(p.dir.Fd()), p.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if p.now != nil {
		p.now.Close()
	}
	p.now = os.NewFile(uintptr(fd), p.name)
	return nil
}

// mayWrite makes sure that nobody waits for what cannot be written: only root writes into what is read-only for its owner.
func (p *pipe) mayWrite() error {
	w, err := p.open(os.O_WRONLY | unix.O_NONBLOCK)
	if errors.Is(err, unix.ENXIO) { // nobody reads yet
		return nil
	}
	if err == nil {
		err = w.Close()
	}
	return err
}

// open opens the pipe itself: the command may have given its name to something else.
func (p *pipe) open(flags int) (*os.File, error) {
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", p.now.Fd()), flags, 0)
}

// serve waits for whoever opens the pipe, until it is closed or the command has removed it.
func (p *pipe) serve() {
	defer close(p.ended)
	for more := true; more; {
		w, err := p.open(os.O_WRONLY)
		if err != nil {
			return
		}
		p.mu.Lock()
		if more = !p.closed; more {
			more = p.renew() == nil
			_, _ = w.Write(p.data) // who has opened it may have gone
		}
		p.mu.Unlock()
		w.Close()
	}
}

// renew puts another pipe in the place of the one that is open, as if nothing had changed in the directory.
func (p *pipe) renew() error {
	var there, held, dir unix.Stat_t
	err := errors.Join(unix.Fstatat(int(p.dir.Fd()), p.name, &there, unix.AT_SYMLINK_NOFOLLOW), unix.Fstat(int(p.now.Fd()), &held), unix.Fstat(int(p.dir.Fd()), &dir))
	if err == nil && there.Ino != held.Ino {
		err = unix.ENOENT
	}
	if err == nil {
		err = makePipe(p.fresh, &p.like)
	}
	if err == nil {
		err = unix.Renameat(unix.AT_FDCWD, p.fresh, int(p.dir.Fd()), p.name)
	}
	if err != nil {
		return err
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, dir.Mtim}
	return errors.Join(unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", p.dir.Fd()), times, 0), p.hold())
}

// close ends the serving. Who opens the pipe for reading lets go who waits for that.
func (p *pipe) close() {
	p.mu.Lock()
	p.closed = true
	r, err := p.open(os.O_RDONLY | unix.O_NONBLOCK)
	p.mu.Unlock()
	if err == nil {
		<-p.ended
		r.Close()
	}
	p.now.Close()
	p.dir.Close()
}
