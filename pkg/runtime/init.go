// This file owns the beginning of each process of this program: what it was started for.

package runtime

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/network"
)

// stageVar names the descriptor on which a process that Enter started waits for its ids to be mapped.
const stageVar = "_GBUILD_ENTER_FD"

// entered is set once, by Init, before any other code of the program runs.
var entered atomic.Bool

// Entered says whether this process was started by Enter, or is the child of early.c: it is uid 0 in a user namespace
// that owns the subordinate ids, and in a mount namespace of its own.
func Entered() bool { return entered.Load() }

// OwnerOutside returns the user id that uid 0 of this process's namespace is outside of it.
func OwnerOutside() int {
	ranges, err := parseIDMap(readSetting("/proc/self/uid_map"))
	if err != nil || len(ranges) == 0 {
		return -1
	}
	return int(ranges[0].Outside)
}

// Init must be the first call of main (and of TestMain). In a process that was started as a container's init it
// does that work and does not return. In a process that Enter started it completes the namespaces and returns.
func Init() {
	// libcontainer logs through this global logger; what matters also comes back as an error.
	logrus.SetOutput(io.Discard)
	if isContainerInit() {
		initContainer()
	}
	if len(os.Args) > 1 && os.Args[0] == reaperPath && os.Getpid() == 1 {
		os.Exit(reap(os.Args[1:]))
	}
	if mine, err := runRootHook(context.Background(), os.Args[1:]); mine {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	network.RunTry()
	early := earlyGate()
	v, ok := os.LookupEnv(stageVar)
	if entered.Load() || !ok && early < 0 {
		return // A test calls Init, and so does the main that it runs.
	}
	os.Unsetenv(stageVar) // A child of ours must not take itself for the stage.
	if early >= 0 {
		awaitIDs(early) // This comes first: where they cannot be mapped, the parent goes on instead.
	} else if err := completeStage(v); err != nil {
		fmt.Fprintln(os.Stderr, "gbuild: error:", err)
		os.Exit(1)
	}
	entered.Store(true)
	// libcontainer hands this on to the inits of sandboxes. They use one thread, and have fewer to make and to end.
	os.Setenv("GOMAXPROCS", "1")
}

// awaitIDs waits until the parent has mapped the ids of this process, and ends it where that failed: the parent says why,
// and a second message would only hide it.
func awaitIDs(fd int) {
	gate := os.NewFile(uintptr(fd), "gate")
	defer gate.Close()
	if _, err := io.ReadFull(gate, make([]byte, 1)); err != nil {
		os.Exit(1)
	}
}

// completeStage does in a process that Enter started what early.c does before Go.
func completeStage(gate string) error {
	fd, err := strconv.Atoi(gate)
	if err != nil {
		return fmt.Errorf("parsing %s: %w", stageVar, err)
	}
	awaitIDs(fd)
	// Mounts made here must not reach the host, while what the host mounts later (a USB disk, autofs) still arrives.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("separating the mounts of this process from the host's: %w", err)
	}
	return nil
}
