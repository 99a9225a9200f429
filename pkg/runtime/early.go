// This file owns what Go knows of early.c, which may have entered the namespaces before Go started.

package runtime

// extern int gbuild_gate, gbuild_refused; // Set by early.c, before Go starts.
import "C"

// earlyGate is the descriptor on which the child that early.c made waits for its ids; -1 in any other process.
func earlyGate() int { return int(C.gbuild_gate) }

// Refused says why this process has no namespace of its own, where the kernel did not let early.c make one that is of use.
// It is nil where nobody tried, or the ids could not be mapped: Enter may do better then.
func Refused() error {
	if C.gbuild_refused == 0 {
		return nil
	}
	if m := Probe().UserNamespaces; m != nil {
		return m
	}
	return &Missing{What: "a user namespace can be made here, but nothing may be done in it",
		Remedy: "a policy forbids it; on Ubuntu 24.04 run: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give this program an AppArmor profile with the rule `userns,`"}
}
