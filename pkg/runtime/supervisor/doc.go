// Package supervisor answers system calls of a sandbox in which there is one user only, so that its processes find all the users
// and owners of their image nevertheless: root gives files away, daemons become their own users, and stat shows who owns what.
// It also makes devices, which the kernel allows to nobody in a user namespace.
//
// # Nouns
//
// A Level is how much is answered, and Rules says which calls that are, as data: whoever makes the filter of system calls turns
// them into its words. A Listener is a socket to which the descriptor of each such filter is sent, one for the first process of
// a sandbox and one for each that joins it later. Behind every descriptor, threads receive calls and answer them.
//
// # What is kept where
//
// Nothing is kept here but the ids of credentials. The owner of a file is an attribute of the file itself (internal/mark).
// The users that a process runs as are a number in its RLIMIT_LOCKS, a limit without any use since Linux 2.4: fork and exec hand
// it on by themselves, so neither needs an answer and there is no moment at which both could disagree. A process whose limit
// is no such number has not begun: libcontainer is still preparing it, and all its calls go to the kernel. Its first exec gives
// it the user that was asked for.
//
// # How a call is answered
//
// Most calls are about what nobody has marked. For these one look suffices, and the kernel then does what it was asked
// to: the answer is to proceed. For all others the file is opened by its descriptor only (O_PATH), and what is done is done with that
// descriptor. A call is checked to be still waiting before anything is changed, since the number of a process that has died
// may be another's by then. Signals wait for the answer where the kernel lets whoever makes the filter ask for that (Linux 5.19).
// Elsewhere a signal ends the call, and what could not be handed over is taken back.
//
// # Why nothing outside of the sandbox can be reached
//
// The processes answered here are not trusted, and this process has more rights than they have. A thread that answers has a root
// and a working directory of its own: the root is the sandbox's, the working directory is the /proc of this process. An absolute
// path is resolved below that root. A relative one goes on from PID/cwd or PID/fd/N, which the kernel finds for the process. No path is
// followed through further links of /proc, which mean something else for this process: such a call is left to the kernel.
//
// # What is never done here
//
// Permissions are not checked: between the users of such a sandbox there are none, except for giving files away and for becoming
// somebody else. No attribute that is a mark is shown to a process. Nothing is decided by what a path looks like, but for
// the shortest way to a descriptor (/proc/self/fd, /dev/stdout).
package supervisor
