// Package keeper ends the processes of a sandbox that shares the numbers of processes with this program, as in containers that
// cover parts of /proc: there the kernel does not end them with the first one.
//
// They are known by their mount namespace, which a sandbox shares with nobody and a command cannot leave under the default filter
// of system calls; so several sandboxes beside each other are not taken for one. A process of our own, the keeper, looks for them
// and kills them, so that this also happens where the program that runs the sandbox is killed.
//
// What is never done here: no process is killed by its number alone, which may be another's by now; nor is the keeper itself, the
// program that it is for, or one that they come from, whatever namespace /proc shows for them. That is the one of the process's
// first thread, so a namespace in which that thread or the caller's is of this program is refused as a sandbox's. Threads that
// libcontainer sends into the sandbox for a moment do not matter: package thread sees to it that none of them is the first.
package keeper
