// Ahead, which compresses what a RUN installs while it still runs.

package split

import (
	"archive/zip"
	"context"
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

// Ahead compresses the large files of Python distributions while the command that installs them still runs: those of wheels that
// pip has fetched, and those that are installed. It only guesses: what it made counts where a layer has the same bytes in the end,
// so whatever happens to the files meanwhile costs the time that was spent on them, and no more.
type Ahead struct {
	Blocks *codec.Blocks // the compressed blocks that it made

	known  func(name string) bool // says whether there is a layer of a distribution
	finder *aheadFinder
	begun  map[string]bool // names of distributions whose wheels were found
	tasks  chan aheadTask  // files that workers are to compress
	over   chan struct{}   // closed when nothing more is to begin
	ended  chan struct{}   // closed when all workers have ended
}

// aheadTask is a file that is open.
type aheadTask struct {
	file  *os.File
	wheel *zip.Reader // the archive, if the file is a wheel; nil for a file that is installed
}

// Workers is how many files are compressed at once: one processor is left to others.
func Workers() int { return min(runtime.GOMAXPROCS(0)-1, mostAhead) }

// NewAhead makes one for the distributions that are installed into root below prefixes (of which lib/python3.X/site-packages is a
// part), but for those that are known: their layer is likely to be there, and is found without compressing. It
// owns root and blocks from now on.
func NewAhead(root *os.File, prefixes []string, blocks *codec.Blocks, known func(name string) bool) *Ahead {
	return &Ahead{Blocks: blocks, known: known, finder: newAheadFinder(root, prefixes), begun: map[string]bool{},
		tasks: make(chan aheadTask), over: make(chan struct{}), ended: make(chan struct{})}
}

// Run compresses what it finds, until Stop is called or the context ends.
func (a *Ahead) Run(ctx context.Context) {
	defer close(a.ended)
	defer a.finder.close()
	var working sync.WaitGroup
	defer working.Wait()
	defer close(a.tasks)
	for range Workers() {
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

// begin hands what was found to a worker. It is false when it is over.
func (a *Ahead) begin(found aheadFile) bool {
	if a.known(found.distribution) || a.begun[found.distribution] {
		return true
	}
	f, err := a.finder.openFile(found.path)
	if err != nil {
		return true // it is gone by now
	}
	task := aheadTask{file: f}
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

// work compresses what it is handed. After an error, such as a full disk, it only closes the files.
func (a *Ahead) work() {
	lowerPriority()
	var err error
	for t := range a.tasks {
		switch {
		case err != nil:
		case t.wheel != nil:
			err = a.compressWheel(t.wheel)
		default:
			err = a.Blocks.Add(t.file, a.over)
		}
		t.file.Close()
	}
}

// compressWheel compresses the large files of a wheel. One that cannot be read is left out: pip will say so.
func (a *Ahead) compressWheel(wheel *zip.Reader) error {
	for _, f := range wheel.File {
		if f.UncompressedSize64 < codec.WholeFrom {
			continue
		}
		r, err := f.Open()
		if err != nil {
			continue
		}
		err = a.Blocks.Add(r, a.over)
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// lowerPriority lets the goroutine go on when nothing else can. An ordinary user cannot take that back, so its thread
// ends with it.
func lowerPriority() {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 19) // without it, it is in the way of nothing but its equals
}

// Stop lets nothing more begin.
func (a *Ahead) Stop() { close(a.over) }

// Wait waits, behind Stop, for what is under way.
func (a *Ahead) Wait() { <-a.ended }

// Close drops the blocks, after those that are under way.
func (a *Ahead) Close() {
	a.Wait()
	a.Blocks.Close()
}
