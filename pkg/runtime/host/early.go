// This file owns what Go knows of early.c, which may have entered the namespaces before Go started.

package host

// extern int gbuild_gate, gbuild_bare; // Set by early.c, before Go starts.
// void gbuild_uncover_proc(void); // In early.c, too.
import "C"

// earlyGate is the descriptor on which the child that early.c made waits for its ids; -1 in any other process.
func earlyGate() int { return int(C.gbuild_gate) }

// earlyBare says whether that child is root in no user namespace of its own.
func earlyBare() bool { return C.gbuild_bare != 0 }

// uncoverProc takes away what covers parts of /proc for the calling thread, which must end afterwards, and for the processes that it starts.
// Where that may not be done, nothing is changed.
func uncoverProc() { C.gbuild_uncover_proc() }
