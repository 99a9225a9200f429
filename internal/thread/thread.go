// Package thread runs a function on a thread that ends with it. Whatever namespaces the function makes for the thread, nobody else
// is in them, and nothing of them stays.
//
// The first thread of a process is never such a one, not in code of others either that means to end a thread: it does not end
// before the process, and /proc/PID shows the namespaces that it is in as those of the process. So it is kept for main, from the
// beginning of every program that has this package. In particular libcontainer joins the mount namespace of a sandbox on a thread
// that it leaves locked.
package thread

import "runtime"

// What is locked in an init function is the goroutine of main, to the first thread.
func init() { runtime.LockOSThread() }

// Run calls f on such a thread.
func Run(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- f() // A thread that stays locked ends with its goroutine.
	}()
	return <-done
}
