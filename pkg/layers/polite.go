package layers

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// stepAside leaves one processor to others until the channel is closed, and does not compete for the rest.
func (z *compressor) stepAside(until <-chan struct{}) {
	z.polite, z.spare = until, min(1, z.idle-1)
	z.idle -= z.spare
}

func (z *compressor) isPolite() bool {
	if z.polite == nil {
		return false
	}
	select {
	case <-z.polite:
		return false
	default:
		return true
	}
}

// lowerPriority lets the goroutine go on when nothing else can. An ordinary user cannot take that back, so its thread
// ends with it.
func lowerPriority() {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 19) // without it, it is in the way of nothing but its equals
}
