// Package split divides what a step has installed into layers that other images can share: one for each large Python
// distribution or conda package, and one, the uppermost, for the rest. It only groups files. Flattened, the layers are what the
// undivided one would be, whatever the lists of files claim.
//
// Find finds the distributions of a snapshot by the lists that their installers keep (lists.go), and gives each file to at most
// one of them: what two lists claim, or what is linked across, belongs to none. Divide says which of them get a layer. The layers
// are written by rootfs; whether there is one already is for the store to know.
//
// Settle is what makes installations of one distribution equal: it gives all the files the same time, and corrects byte code that
// names the time of its source (bytecode.go). It is the only function here that changes a file.
//
// An Ahead compresses large files while the command that installs them still runs (ahead.go, aheadfind.go, wheel.go). What it finds
// there is a guess, in a directory that nobody trusts: no link is followed, and a layer takes only blocks whose bytes it has.
//
// What is here must not be trusted to be true: a list may name what it likes. So a list decides only what lies together, and every file
// that goes into a layer is read for its digest. A list that is too long, or broken, claims nothing.
package split
