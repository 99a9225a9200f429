// Package files reads the files that a build takes from somewhere, and places them where a COPY, an ADD or an export puts them.
//
// A Tree is a place that files come from: a directory of this machine, less what a .dockerignore leaves out (dirtree.go), or
// the files of a state (tree.go). A Context is a Tree with the Dockerfile, from a directory, an archive, a URL or a git
// repository; what is not a directory is unpacked into one that ends with it. What a Tree shows by a path is a Node.
//
// A source of a COPY is a path, or a pattern; what it selects of a Tree are picks (select.go). The same picks are used three
// times, so that what a step is known by is what it copies:
//   - DigestCopy makes the digest that the key of the step has: of names, bytes, modes and owners, not of times. For files of
//     this machine it remembers the hashes from build to build (hashes.go).
//   - CopyInto writes them into a draft, over what its state has: files are made by the descriptors of their directories, and
//     nothing is ever written through a link (dirsink.go, writefile.go).
//   - Packing writes them as a layer, without making the files (packing.go). Where that is not certain to be, byte for byte, the
//     layer that the draft would have given, the error is ErrNotPackable. PackCopy describes them in memory first, which takes any
//     COPY and ADD.
//
// Where each name goes, whose it becomes, and what may be replaced is decided once, by a placer (place.go). It tells a sink
// (sink.go), of which there are three: a directory, which is the draft, a layer that is written meanwhile, and a tree in memory.
//
// # Owners
//
// Files of a context belong to root, whoever has them here: a build must not depend on who builds. Files of a state have the
// owners that the image has; how those are kept on disk is known to rootfs. What an ordinary user outside of a namespace may not
// read or set is ErrNoRights.
//
// # What is the same, and what is not
//
// A digest has no times, so that a fresh clone of a repository is the same context. A layer has them, in whole seconds. Hard
// links within one pick stay links; across picks each becomes a file.
//
// ExportTar and ExportLocal take the files of a state out again.
//
// This package knows neither plans nor keys nor caches, and mounts nothing. Where a process may not do what owners demand,
// it changes nothing and returns ErrNoRights; it never asks whether there could be another process that may.
package files
