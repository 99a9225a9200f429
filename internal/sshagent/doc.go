// Package sshagent lets a process of a sandbox use an ssh agent of the user: by a socket of its own, over which only those
// messages go on that list keys and sign with them.
package sshagent
