// Package runtime runs one process in a sandbox, with mounts, a network and CDI devices, and says what this host can do
// and why not. libcontainer is used in one file of it.
package runtime
