// This file owns the names of the ways in which a sandbox can be made.

package host

import (
	"fmt"
	"slices"
	"strings"
)

// Isolation is a way in which a sandbox can be made here. A greater one offers more of what a sandbox can have.
type Isolation int

// The ways, the least first.
const (
	Auto           Isolation = iota // the greatest of the others that can be had
	NoRun                           // none: no process can be run in a sandbox
	Ptrace                          // no namespaces: a program that is installed here answers the system calls of the command
	Chroot                          // no namespaces: root of a container executes the command in another root directory
	Inplace                         // no namespaces: the root directory of the container, which is gbuild's own, is that of the command
	Fake                            // one user in the sandbox, and calls that need more of them succeed without having done anything
	RootlessSingle                  // one user in the sandbox, and this process answers calls that need more of them
	Rootless                        // an ordinary user, whose subordinate ids are the other users in the sandbox
	Root                            // root, who has all ids
)

// isolations are the names that users know.
var isolations = []string{Auto: "auto", NoRun: "norun", Ptrace: "ptrace", Chroot: "chroot", Inplace: "inplace", Fake: "fake", RootlessSingle: "rootless-single", Rootless: "rootless", Root: "root"}

// ParseIsolation reads a name that users know. Docker calls it default where nothing is asked for.
func ParseIsolation(name string) (Isolation, error) {
	if name == "default" {
		return Auto, nil
	}
	at := slices.Index(isolations, name)
	if at < 0 {
		return Auto, fmt.Errorf("unknown isolation %q: it is one of %s", name, strings.Join(isolations, ", "))
	}
	return Isolation(at), nil
}

// String gives the name that users know.
func (i Isolation) String() string { return isolations[i] }

// CanRun says whether a RUN can be executed with it.
func (i Isolation) CanRun() bool { return i > NoRun }

// Enters says whether it is made of namespaces.
func (i Isolation) Enters() bool { return i == Auto || i >= Fake }

// IsDirect says whether commands are plain processes of root here, one at a time.
func (i Isolation) IsDirect() bool { return i == Chroot || i == Inplace }
