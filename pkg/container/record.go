// This file owns what is written down of a container, and the words for its status.

package container

import "time"

// Status says how far a container has come.
type Status string

// The statuses of a container. One that never ran stays created.
const (
	StatusCreated    Status = "created"
	StatusRunning    Status = "running"
	StatusRestarting Status = "restarting" // it has ended, and waits for its next start
	StatusExited     Status = "exited"
)

// The exit codes of a container whose command did not end by itself. They are docker's.
const (
	ExitNotStarted = 125     // the sandbox could not be made
	exitNotRun     = 126     // the command cannot be run
	exitKilled     = 128 + 9 // the processes of the container were killed
)

// Record is what state.json keeps of a container.
type Record struct {
	ID, Name, Image   string // Image is the name that the command line gave
	Command           []string
	Created           time.Time
	Started, Finished time.Time // the last start, and the last end
	Status            Status
	ExitCode          int
	Pid, Restarts     int
	Ports             []string // published ports, as docker writes them
	Detached          bool
	Forget            bool   // the entry goes when the container ends
	Restart           string // the policy, as it was given
	StopSignal        string // the signal by which it is asked to end
	StopTimeout       int    // seconds until it is killed
	Error             string // the reason if it could not be started
	State             string // what its files stand on, as the store names it; "" where none are kept
	Interactive, TTY  bool
	Health            *Health // nil where nobody looks
	Labels            map[string]string
	Mounts            []MountPoint
	ImageID           string // the digest of the image's config
}

// MountPoint is a volume or a directory of the host in a container.
type MountPoint struct {
	Type, Name, Source, Destination string // Name is that of a volume, which has no Source
	RW                              bool
}

// ShortID is the part of the ID that people are shown.
func (r *Record) ShortID() string { return r.ID[:min(12, len(r.ID))] }
