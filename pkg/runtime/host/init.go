// This file owns the way into namespaces from the side of the process that is on it: the child of Enter or of early.c, and those
// that try what this host can do.

package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/network"
)

// stageVar names the descriptor on which a process that Enter started waits for its ids to be mapped, and the kind of the stage.
const stageVar = "_GBUILD_ENTER_FD"

// The kinds of stages.
const (
	mappedStage = "mapped" // in a user namespace
	bareStage   = "bare"   // root, where it cannot have one
)

// entered and bare are set once, by Init, before any other code of the program runs.
var entered, bare atomic.Bool

// why says why the namespaces of this process are no better ones, where its parent has found out.
var why *Missing

// Entered says whether this process was started by Enter, or is the child of early.c: it is uid 0 in a user namespace
// that owns the subordinate ids, and in a mount namespace of its own.
func Entered() bool { return entered.Load() }

// OwnerOutside returns the user id that uid 0 of this process's namespace is outside of it.
func OwnerOutside() int { return rootOutside("/proc/self/uid_map") }

// GroupOutside returns the group id that gid 0 of this process's namespace is outside of it.
func GroupOutside() int { return rootOutside("/proc/self/gid_map") }

func rootOutside(file string) int {
	ranges, err := ParseIDMap(ReadSetting(file))
	if err != nil || len(ranges) == 0 {
		return -1
	}
	return int(ranges[0].Outside)
}

// Bare says whether this process is root in namespaces that Enter or early.c made, and in no user namespace of its own.
func Bare() bool { return bare.Load() }

// Init must be called before anything else is done, by the main of a program that calls Enter or Probe. In a process that
// Enter started it completes the namespaces and returns; in one that Probe started it tries what was asked for, and ends it.
func Init() {
	network.RunTry()
	runTryProc()
	early := earlyGate()
	v, ok := os.LookupEnv(stageVar)
	if entered.Load() || !ok && early < 0 {
		return // A test calls Init, and so does the main that it runs.
	}
	why = missingFromWords(os.Getenv(whyVar))
	os.Unsetenv(whyVar)
	os.Unsetenv(stageVar) // A child of ours must not take itself for the stage.
	if early >= 0 {
		gate := os.NewFile(uintptr(early), "gate")
		awaitIDs(gate) // This comes first: where they cannot be mapped, the parent goes on instead.
		gate.Close()
		bare.Store(earlyBare())
	} else {
		bare.Store(completeStage(v) == bareStage)
	}
	entered.Store(true)
	// libcontainer hands this on to the inits of sandboxes. They use one thread, and have fewer to make and to end.
	os.Setenv("GOMAXPROCS", "1")
	runProbe()
}

// awaitIDs waits until the parent has mapped the ids of this process, and ends it where that failed: the parent says why,
// and a second message would only hide it.
func awaitIDs(gate *os.File) {
	if _, err := io.ReadFull(gate, make([]byte, 1)); err != nil {
		os.Exit(1)
	}
}

// completeStage does in a process that Enter started what early.c does before Go, tells the parent what became of it, and
// returns the kind of the stage.
func completeStage(value string) (kind string) {
	var fd int
	if _, err := fmt.Sscan(value, &fd, &kind); err != nil {
		fmt.Fprintf(os.Stderr, "gbuild: error: parsing %s: %v\n", stageVar, err)
		os.Exit(1)
	}
	gate := os.NewFile(uintptr(fd), "gate")
	defer gate.Close()
	awaitIDs(gate)
	var errno syscall.Errno
	if err := separateMounts(); err != nil && !errors.As(err, &errno) {
		errno = unix.EIO
	}
	if _, err := gate.Write([]byte{byte(errno)}); err != nil || errno != 0 {
		os.Exit(1)
	}
	return kind
}
