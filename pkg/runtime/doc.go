// Package runtime runs one process in a sandbox, on a root file system that lies mounted somewhere. It needs no daemon and no
// root. It cares neither for images nor for builds.
//
// # Nouns
//
// A Sandbox is data: the command, its user, its root, its mounts, its network, what of the kernel it may use. Sandbox.Run
// does what it says. A Process is its first process while it runs; more commands join it by Process.Exec. An ExitError is a
// command that did not end well; everything else that goes wrong is an error of ours.
//
// Package host says what this host can do for a sandbox: an Isolation is a way in which one can be made, and a host.Missing is what
// the host lacks, with the remedy. Edits are what devices add to a sandbox, as data; package gpu makes them. A network.Pool gives sandboxes networks of their
// own; package network makes them. An Identity is a user of an image, found by LookupUser.
//
// # How a sandbox comes to life
//
// Only a process that has its own user and mount namespace, in which it is uid 0, can mount anything. So main calls Init
// first, and where a Sandbox is to be run, the process is one that has come into such namespaces by package host.
//
// Run goes through the steps of run.go. It binds the root to a place of its own, in a private directory in memory, and
// opens it as a tree (tree.go): from there on, every mount point is found, or made, by descriptors, so that no symbolic
// link of the image leads out of it. It makes the network, /dev, the files of devices and the edits of the root that they need, /etc/hosts
// and /etc/resolv.conf, and mounts all binds and tmpfs. What only the kernel's namespaces can have (/proc, /sys) it leaves to libcontainer,
// as data (latemounts.go). What the kernel refuses of these, as inside of many containers, a sandbox shares with this process
// (host.Parts); where it shares the numbers of processes, package keeper kills what a command leaves. configure translates the
// rest of the Sandbox, runContainer starts the container and waits. In the end everything is taken away again, and a mount
// point that the command has not touched is removed: it is no part of what the command changed.
//
// # What this process answers for the kernel
//
// Where there is but one user in the namespace, owners and users of the image are known to package supervisor only, which
// answers the system calls about them (supervise.go); elsewhere it answers mknod of devices, which the kernel allows to nobody
// in a user namespace. The filter of system calls says which calls these are (filter.go).
//
// # Processes that this program is
//
// One binary plays many parts, and Init finds out which it is: the command line; the process that host.Enter starts; the init of a
// container; the reaper inside of a sandbox; the keeper of one; the
// processes that try what of a network, and whether a /proc, can be made. Each of these starts anew for each sandbox. So
// package variables here cost nothing at the start: regular expressions are compiled when they are first used, and nothing is read.
//
// # Who knows what
//
// sandbox.go, edits.go, process.go, exit.go and keepid.go are types that know nobody above them. Functions take
// a Sandbox and give data back; only run.go knows their order. libcontainer has no stable API and is known by three files:
// config.go and filter.go translate, container.go runs.
//
// # What is never done here
//
// A process of the caller's prints nothing, and its environment decides nothing: what counts is in the Sandbox. No path of
// an image is opened but below its root. Nothing that a sandbox is given is weaker than asked without a Notice or an error. No
// id is shifted, but for KeepID. No file of an image is changed, but by package rootedit, for what a driver needs: what is mounted over
// one goes away again.
package runtime
