// This file owns the names of the ways in which a sandbox can be made.

package runtime

// Isolation is a way in which a sandbox can be made here. A greater one offers more of what a sandbox can have.
type Isolation int

// The ways, the least first.
const (
	NoRun          Isolation = iota // none: no process can be run in a sandbox
	RootlessSingle                  // an ordinary user without subordinate ids, who would be the only user in the sandbox
	Rootless                        // an ordinary user, whose subordinate ids are the other users in the sandbox
	Root                            // root, who has all ids
)

// String gives the name that users know.
func (i Isolation) String() string {
	return [...]string{NoRun: "norun", RootlessSingle: "rootless-single", Rootless: "rootless", Root: "root"}[i]
}

// CanRun says whether Enter, and so a RUN, works with it: files of an image belong to several users.
func (i Isolation) CanRun() bool { return i >= Rootless }

// isolationOf is what Enter makes for a user, where the host has what that needs.
func isolationOf(uid int) Isolation {
	if uid == 0 {
		return Root
	}
	return Rootless
}
