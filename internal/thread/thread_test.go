package thread_test

import (
	"errors"
	"io"
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
