// Package direct executes a command as a plain process of this place: in another root directory by chroot(2) at most, and in no namespace
// of its own. It is for places whose root may do all that a command needs of files and users, and make no namespaces: the default container
// of Docker and of Kubernetes.
//
// Between this program and the command stands a process of our own, the watcher. It takes in the orphans of the command, and when the
// command has ended, or this program has, it kills them until there are none. It knows them as its descendants, so no other process of the
// place is ever taken for one.
//
// # Never
//
// No process of the command is left when Run returns. No process of our own can be read by the command, unless it may trace others.
package direct
