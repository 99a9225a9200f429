// Package thread runs a function on a thread that ends with it. Whatever namespaces the function makes for the thread, nobody else
// is in them, and nothing of them stays.
package thread

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Run calls f on such a thread. The first thread of a process is never taken: it does not end before the process, and /proc/self
// shows the namespaces that it is in.
func Run(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			done <- Run(f) // this thread is taken meanwhile
			runtime.UnlockOSThread()
			return
		}
		done <- f() // A thread that stays locked ends with its goroutine.
	}()
	return <-done
}
