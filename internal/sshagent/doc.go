// Package sshagent lets a process of a sandbox use an ssh agent of the user: by a socket of its own, over which only those
// messages go on that list keys and sign with them. Where the user has key files and no agent, it is one.
package sshagent
