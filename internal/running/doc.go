// Package running is a container as the words of a command line say it: Options are data, and Run makes it and stays until it ends.
//
// # Who has what
//
// Options have a part for each matter: a struct whose exported fields are what a user can say, in the user's own words. Flags
// registers the flags of gbuild run for them, parse reads them before anything is made, and fill puts what they mean into its
// part of the Sandbox, in the order of sandbox.go.
//
//	Life     its name, how it ends, whether it starts again
//	Image    what it begins with, and where that may come from
//	Process  its command, user, environment and terminal
//	Network  which one it has, its names of hosts, and its ports, which ports.go opens
//	Box      its walls, and the holes that the user asks for
//	Mounts   volumes, directories of the host, and file systems in memory
//	Caches   directories of the host that it shares
//	Devices  GPUs and others
//	Limits   what it may use up
//
// # The processes of one container
//
// There are up to three, one after the other, and each has the whole command line (run.go). A launch is what they have in common
// (launch.go). Those outside of the namespaces open ports and make control groups, where the rights of the user count (start.go);
// the last is the sandbox's parent, and lives as long as the container (container.go).
//
// A detached container that stays is started again by what is kept of it (plan.go, again.go), or by a Unit of systemd (systemd.go).
//
// # What is never done here
//
// This package makes no sandbox and keeps no container: it fills in a runtime.Sandbox and a container.Session. It prints by the
// streams of the App only, asks the environment by its Environ, and ends no process. Nobody but the command sees a value of its
// environment.
package running
