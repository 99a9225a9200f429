// This file owns the reason why a private network cannot be made. It is facts only; what a user does about them is said in package
// runtime.

package network

import (
	"errors"
	"fmt"
)

// Error is what the kernel refuses of a private network. Either Namespace is set, or Pair, beside Tun where that was tried.
type Error struct {
	Namespace error // the reason why no network namespace can be made; nil if one can
	Tun       error // the reason why there is no tun
	Pair      error // the reason why there is no pair of virtual Ethernet devices
}

// Error implements error.
func (e *Error) Error() string {
	if e.Namespace != nil {
		return fmt.Sprintf("making a network namespace: %v", e.Namespace)
	}
	return fmt.Sprintf("making a network device: %v", errors.Join(e.Tun, e.Pair))
}

// Unwrap gives the refusals.
func (e *Error) Unwrap() []error { return []error{e.Namespace, e.Tun, e.Pair} }
