// Package host says what this host can do for a sandbox and why not, and enters the namespaces in which one can be made. It runs
// no command of a user's, and knows no sandbox.
//
// # Nouns
//
// Missing is what a host lacks for one ability, with the remedy. Probe gathers facts about the host, tries what a sandbox needs, and
// decides what that means: a Support has one field for each ability, an Isolation is a way in which a sandbox can be made, and a
// Mode is the way that is taken, with the reasons why it is no better one. Parts are what of the kernel a sandbox can have for
// itself in these namespaces; what the kernel refuses, it shares with this process.
//
// # How a process comes into its namespaces
//
// Only a process that has its own user and mount namespace, in which it is uid 0, can mount anything. Enter starts this program
// once more inside of such namespaces, and Entered is true there; `gbuild build` and `gbuild run` are there already, by a fork in
// C before Go starts (early.c). The user's subordinate ids are the other users in there; without such ids there is one user. Root
// does the same, with all ids mapped to themselves, so there is one way for both. Where no user namespace can be made, root has
// one of mounts only (ways.go). Who is in a chroot leaves it first for the namespace of its mounts (chroot.go); and from
// a /proc that is covered in part, root takes the covers away first, in a namespace of mounts in between (early.c).
//
// # Who knows what
//
// missing.go, isolation.go and proc.go know nobody. support.go and cause.go decide by facts and touch nothing; probe.go and try.go
// gather them. mode.go puts into words what was decided. enter.go is the way into namespaces from the side of the process that
// starts it, init.go from that of the process that is on it; what is refused on the way is a refusal, of which cause.go makes a
// Missing.
//
// # What is never done here
//
// Nothing of the host is changed, and nothing of a trial stays. Package variables cost nothing at the start: what is found out once
// in a process is found out when it is first asked for.
package host
