package layers

import (
	"archive/zip"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/codec"
)

const (
	// lookEvery is how often is looked for what can be compressed.
	lookEvery = 500 * time.Millisecond
	// Each one keeps up with an installer.
	mostAhead = 4
)

// ahead compresses the large files of Python distributions while the command that installs them into a draft still runs:
// those of wheels that pip has fetched, and those that are installed. It only guesses: what it made counts where a layer
// has the same bytes in the end, so whatever happens to the files meanwhile costs the time that was spent on them, and no
// more.
type ahead struct {
	store  *Store
	finder *aheadFinder
	kind   string // of the records of distributions that have layers
	blocks *codec.Blocks
	begun  map[string]bool // names of distributions whose wheels were found
	tasks  chan aheadTask
	over   chan struct{} // closed when nothing more is to begin
	ended  chan struct{}
}

// aheadTask is a file that is open.
type aheadTask struct {
	*os.File
	wheel *zip.Reader // what is in it; nil for a file that is installed
}

// PackAhead starts to compress the large files of Python distributions that are installed into the draft below prefixes
// (of which lib/python3.X/site-packages is a part), for a later call of Layers with the same options. One processor is
// left to others, so on a machine with no other one it does nothing. It ends with the draft.
func (d *Draft) PackAhead(ctx context.Context, prefixes []string, o LayerOptions) {
	workers := min(runtime.GOMAXPROCS(0)-1, mostAhead)
	if workers < 1 || d.ahead != nil {
		return
	}
	root, err := os.Open(d.Dir())
	if err != nil {
		return
	}
	blocks, err := d.store.newBlocks(o.Compression)
	if err != nil {
		root.Close()
		return
	}
	d.ahead = &ahead{store: d.store, finder: newAheadFinder(root, prefixes), kind: o.partKind(), blocks: blocks,
		begun: map[string]bool{}, tasks: make(chan aheadTask), over: make(chan struct{}), ended: make(chan struct{})}
	go d.ahead.run(ctx, workers)
}

func (a *ahead) run(ctx context.Context, workers int) {
	defer close(a.ended)
	defer a.finder.close()
	var working sync.WaitGroup
	defer working.Wait()
	defer close(a.tasks)
	for range workers {
		working.Go(a.work)
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		for f := range a.finder.look() {
			if !a.begin(f) {
				return
			}
		}
		select {
		case <-tick.C:
		case <-a.over:
			return
		case <-ctx.Done():
			return
		}
	}
}

// begin hands what was found to a worker, unless it is over. Where there is a layer of such a distribution, it is likely to be
// the same, and is found without compressing.
func (a *ahead) begin(found aheadFile) bool {
	like := Part{names: []string{found.distribution}}
	if _, known := a.store.Recall(a.kind, like.key()); known || a.begun[found.distribution] {
		return true
	}
	f, err := a.finder.openFile(found.path)
	if err != nil {
		return true // it is gone by now
	}
	task := aheadTask{File: f}
	if found.wheel {
		if task.wheel, err = openWheel(f); err != nil {
			f.Close()
			return true // it is not whole yet
		}
		a.begun[found.distribution] = true
	}
	select {
	case a.tasks <- task:
		return true
	case <-a.over:
		f.Close()
		return false
	}
}

func (a *ahead) work() {
	lowerPriority()
	var err error
	for t := range a.tasks {
		switch {
		case err != nil:
		case t.wheel != nil:
			err = a.compressWheel(t.wheel)
		default:
			err = a.blocks.Add(t.File, a.over)
		}
		t.Close()
	}
}

func (a *ahead) compressWheel(wheel *zip.Reader) error {
	for _, f := range wheel.File {
		if f.UncompressedSize64 < codec.WholeFrom {
			continue
		}
		r, err := f.Open()
		if err != nil {
			continue
		}
		err = a.blocks.Add(r, a.over)
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// newBlocks makes a place for compressed blocks. The file ends with the process.
func (s *Store) newBlocks(c codec.Compression) (*codec.Blocks, error) {
	path := s.path("ingest", rand.Text())
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // another process may have taken it for left
		f.Close()
		return nil, err
	}
	b, err := codec.NewBlocks(c, &s.encoders, f)
	if err != nil {
		f.Close()
	}
	return b, err
}

// lowerPriority lets the goroutine go on when nothing else can. An ordinary user cannot take that back, so its thread
// ends with it.
func lowerPriority() {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 19) // without it, it is in the way of nothing but its equals
}

// endAhead lets no more be compressed ahead, and drops what was.
func (d *Draft) endAhead() {
	if a := d.ahead; a != nil {
		d.ahead = nil
		close(a.over)
		a.close()
	}
}

// keepAhead lets no more be compressed ahead, and keeps what was for the layers of the state k.
func (d *Draft) keepAhead(k Key) {
	a := d.ahead
	if a == nil {
		return
	}
	d.ahead = nil
	close(a.over)
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	if _, kept := d.store.aheads[k]; kept {
		d.store.beside.Go(a.close)
		return
	}
	d.store.aheads[k] = a
}

// close drops the blocks, after those that are under way.
func (a *ahead) close() {
	<-a.ended
	a.blocks.Close()
}

// takeAhead returns what was compressed ahead of the layers of the state k, nil if nothing was.
func (s *Store) takeAhead(k Key) *ahead {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.aheads[k]
	delete(s.aheads, k)
	return a
}

// dropAhead drops all that was compressed ahead of layers that nobody wanted.
func (s *Store) dropAhead() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.aheads {
		a.close()
	}
	clear(s.aheads)
}
