// This file owns the error of what a host lacks. It is the only error of this package after which a caller may go
// on: the caller then has less than it asked for, and tells the user so.

package host

import "fmt"

// Missing is what this host lacks for one ability, and the command or setting that adds it.
// It is an error whose Hint is the remedy.
type Missing struct {
	What   string // the thing that is not here, in one clause
	Remedy string // the remedy: a task for the user or their administrator
	Cause  error  // the failure that showed it, or nil
}

// Error implements error.
func (m *Missing) Error() string {
	if m.Cause != nil {
		return fmt.Sprintf("%s: %v", m.What, m.Cause)
	}
	return m.What
}

// Unwrap gives the failure that showed what is missing.
func (m *Missing) Unwrap() error { return m.Cause }

// Hint gives the remedy.
func (m *Missing) Hint() string { return m.Remedy }
