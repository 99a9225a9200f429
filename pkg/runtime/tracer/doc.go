// Package tracer executes a command where nothing can be had of the kernel but ptrace(2): an installed proot takes a directory for its
// root, and tells it that its user is another one. proot is a program of its own; nothing of it is in this one.
//
// What proot gets wrong is left as it is: a file that is given to another user stays the caller's, nothing is read-only, the command has
// the network, the devices and the processes of the host, and one that a signal ends has the code 255.
//
// # Never
//
// A path of the command is never taken for one of the host: system calls that proot does not know are hidden from the command.
// No process of it is left when Run returns.
package tracer
