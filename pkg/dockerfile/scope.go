// This file owns what a stage leaves to the stages that are built on it.

package dockerfile

import "time"

// scope is what a stage leaves to the stages that are built on it, beside its config.
type scope struct {
	env           *variables
	args          []argument
	workdirSet    bool
	aptKeeps      bool // something has told apt to keep packages
	startInterval time.Duration
}

// argument is an ARG that a stage declared; value is nil when nothing gives it one.
type argument struct {
	name  string
	value *string
}
