// Package rootedit makes the changes in the root of a container that the driver of a device needs there: links to its libraries, and
// an up-to-date cache of the loader. They are what hooks of vendors would do, as data.
//
// # Nouns
//
// Edits say what is to be changed. A Place is the root in which they are made: a directory that is open, with the file systems in memory
// that the sandbox has in it, and who is to own what is made.
//
// # How they meet
//
// edits.go makes the Edits of a Place, in their order; root.go opens and writes what is below a root; compat.go decides whether the image's
// own libraries of CUDA go before the driver's.
//
// # What is never done here
//
// The root is an image's, and not to be trusted: every path is opened inside it, and no link of it leads out. Nothing is changed on what is
// mounted in the root, because that is somebody else's: a directory of the host, for the most part. No program of the image is run.
package rootedit
