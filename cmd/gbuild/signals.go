// This file owns the signals that a process hands on to a container. Until then they are main's, and end the command (see
// interruptible). A process that waits for one in the namespaces leaves them to host.Enter.

package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/container"
)

// parseSignal reads what a flag or a record says; a wrong one is an error of the command line.
func parseSignal(name string) (syscall.Signal, error) {
	signal, err := container.ParseSignal(name)
	if err != nil {
		return 0, cli.Usage(err)
	}
	return signal, nil
}

// passOn hands signals of this process to a function, until the one that it returns is called. None of them ends this
// process any more.
func passOn(hand func(syscall.Signal), wanted ...os.Signal) (stop func()) {
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
