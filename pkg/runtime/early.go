// This file owns what Go knows of early.c, which may have entered the namespaces before Go started.

package runtime

// extern int gbuild_entered; // Set by early.c, before Go starts.
import "C"

// enteredEarly says whether this process is the child that early.c made: it has its namespaces and its ids already.
func enteredEarly() bool { return C.gbuild_entered != 0 }
