// This file owns what Go knows of early.c, which may have entered the namespaces before Go started.

package runtime

// extern int gbuild_gate, gbuild_refused; // Set by early.c, before Go starts.
import "C"

// earlyGate is the descriptor on which the child that early.c made waits for its ids; -1 in any other process.
func earlyGate() int { return int(C.gbuild_gate) }

// earlyRefused says that the kernel did not let early.c make a namespace that is of use.
func earlyRefused() bool { return C.gbuild_refused != 0 }
