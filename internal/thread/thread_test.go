package thread_test

import (
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/thread"
)

func TestRun(t *testing.T) {
	for range 500 {
		err := thread.Run(func() error {
			if unix.Gettid() == unix.Getpid() {
				t.Error("it is the first thread")
			}
			return io.EOF
		})
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
}

// Whoever locks goroutines to threads does not get the first one: these take all threads that are idle.
func TestNobodyElseGetsTheFirstThread(t *testing.T) {
	const many = 50
	var all, locked sync.WaitGroup
	locked.Add(many)
	for range many {
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if unix.Gettid() == unix.Getpid() {
				t.Error("it is the first thread")
			}
			locked.Done()
			locked.Wait()
		})
	}
	all.Wait()
}
