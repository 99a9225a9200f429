// Package container keeps track of the containers of one user: who runs, under which name, what it said, and how to reach
// it. There is no daemon. What is known of a container lies in files, and the processes of the container itself answer.
//
// # Nouns
//
// A Registry is a directory with one entry for each container. An entry is a directory, named by the container's ID, with
//
//	state.json   the Record: all that is known of the container; it is replaced as a whole
//	lock         held by flock as long as a process of the container lives: the only sign of life
//	control      the Unix socket by which a running container is spoken to
//	log          what a detached container said, a LogLine for each line
//	messages     what the supervisor of a detached container says until the container runs
//
// Beside the entries, the file .names is locked while an entry is made, so that no two containers get one name.
//
// A Container is one entry as this process sees it: its Record, and, in the processes of the container, the lock.
// A Session is the life of a container: it runs the command, again where the Restart policy says so, passes on the signals
// of a Relay, and serves the control socket. Volumes are named directories that outlive containers.
//
// # How they meet
//
// gbuild run calls Registry.Create, which leaves an entry in the status created and the lock in the hands of the caller.
// The process that enters the namespaces inherits the lock, takes the entry over (Registry.TakeOver) and runs a Session
// there. In between may be a supervisor, which stays behind when gbuild run -d returns (Container.Detach).
//
// The other commands are strangers to that process tree. gbuild ps, logs, stop and rm read the registry, and ask a running
// container by its socket: Stop, Signal, Exec and ExecTerminal send one request, a line of JSON with the descriptors that
// belong to it, and get one answer. While a command of an exec runs, each further byte that the caller sends is the number
// of a signal.
//
// # What survives what
//
// Any of these processes may be killed at any time. A lock that nobody holds under a record that says running means that
// the container was killed: Registry.List writes that down, or removes the entry where the container was to be forgotten.
// An entry without a record was never finished. Readers pass over it, and the next Create removes it.
//
// # What is never done here
//
// Nothing is printed, the environment is not read, and the process does not end: that is the command line's part. This
// package makes no sandbox and mounts nothing. Who runs a Session hands in a function that runs the command once. An image
// is known by its name only.
package container
