// Package swap shows files and directories in a root directory for the time of one command, where nothing can be mounted: what is to be
// shown is renamed to its place, and renamed back when the command has ended.
//
// A Mount is one thing that is shown, in one of five kinds. A Lent directory is a cache: what the command changed in it comes back. Of
// a Copied file or directory the command has a copy, which is dropped. A Linked file lies in memory, and a symbolic link leads to it, so
// that no byte of it reaches a disk; where no link can, a Piped one gives its bytes to everyone who opens it. An Empty directory stands
// for a tmpfs. What the root has at such a place is put aside meanwhile, directories that are missing on the way are made and taken
// away, and directories keep their times. A directory that is lent twice is seen in the second place through a link to the first.
// Nothing is put aside that is mounted, or has a mount in it.
//
// A directory that cannot be renamed from where it is into the root, since another file system has it, is copied in and, if it is Lent,
// back: what is unchanged is not written again, and what is written has reached the disk before the cache is replaced. A place on another file system than the root, as below /dev, gets a symbolic link.
//
// # Crashes
//
// A journal says what was done. It is written before each thing is put in its place, and has reached the disk before a cache is moved;
// and each thing is prepared beside it before: so what exists tells how far a process came that was killed, and Recover does what Out
// would have done. Recover may be killed as well, as often as may be; it takes back the rest the next time. A cache is then as the command
// left it, or as it was before; never a mixture of both, and never lost.
//
// # Never
//
// The command has ended, with all of its processes, when Out is called. What it has made of the places it was shown things at is not
// trusted: no symbolic link that it made on the way to one is followed. Nothing that is shown stays in the root: not even where the
// command has removed or replaced it, where a mount would have refused that.
//
// One process at a time uses a directory for the journal, and one command at a time a Lent directory: whoever calls has locks.
package swap
