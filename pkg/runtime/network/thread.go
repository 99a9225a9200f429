// This file owns the moves of threads between network namespaces.

package network

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// unshare moves the calling thread into a new network namespace.
func unshare() error { return unix.Unshare(unix.CLONE_NEWNET) }

// unshareForPair is unshare for a pair of devices, in the middle of making one.
func unshareForPair() error {
	if err := unshare(); err != nil {
		return fmt.Errorf("a network namespace cannot be made: %w", err)
	}
	return nil
}

// ownNamespace opens the network namespace of the calling thread.
func ownNamespace() (*os.File, error) {
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("opening the network namespace: %w", err)
	}
	return f, nil
}
