// This file owns what is known of the health of a container.

package container

import "time"

// Health is what the checks of a container have found.
type Health struct {
	Status        string
	FailingStreak int
	Log           []HealthResult
}

// HealthResult is one check.
type HealthResult struct {
	Start, End time.Time
	ExitCode   int
	Output     string
}
