// Package cli is what every command of gbuild has from its process and from whoever calls it.
//
// An App is made by main, and handed to each command. It has the standard streams, the environment, the store and the cache
// mounts, the way to registries, and the way into a namespace. A command uses what it needs of that, and adds nothing: App
// and all that is here know no command.
//
// Beside the App there is what command lines have in common: the forms of values (flags.go), files that can be read but once
// (streams.go), how networks, hosts, devices and GPUs are named, and what the environment demands of all of them
// (network.go, devices.go, isolation.go). There is what commands of containers share: the registry and their exit codes
// (containers.go), the caller's terminal and signals. And there is what commands have in common when they answer: the display,
// tables and JSON, and errors with their exit codes.
//
// Most commands that touch the store run in a user and mount namespace of their own, since before main where that can be had.
// MustEnter and InNamespace start this program once more where it cannot. The next process gets the command line and what
// was read already by way of Handed, since neither its arguments nor a file on a disk may show a secret.
//
// What is never done here: reading a flag of one command, and deciding what a build or a container does.
package cli
