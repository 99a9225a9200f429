// This file owns the signals that a process hands on to a container. Until then they are main's, and end the command (see
// interruptible). A process that waits for one in the namespaces leaves them to host.Enter.

package cli

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/gbuild/gbuild/pkg/container"
)

// ParseSignal reads what a flag or a record says; a wrong one is an error of the command line.
func ParseSignal(name string) (syscall.Signal, error) {
	signal, err := container.ParseSignal(name)
	if err != nil {
		return 0, Usage(err)
	}
	return signal, nil
}

// PassOn hands signals of this process to a function, until the one that it returns is called. None of them ends this
// process any more.
func PassOn(hand func(syscall.Signal), wanted ...os.Signal) (stop func()) {
	signals := make(chan os.Signal, 16)
	signal.Reset(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	signal.Notify(signals, wanted...)
	go func() {
		for s := range signals {
			hand(s.(syscall.Signal))
		}
	}()
	return func() { signal.Stop(signals) }
}
