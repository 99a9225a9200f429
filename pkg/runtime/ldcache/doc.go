// Package ldcache reads and writes the file in which a C library's loader looks up libraries by their names, /etc/ld.so.cache.
//
// # Why it is written here
//
// ldconfig makes that file by opening every library of an image, which takes longer than all the rest of a container's start. Here the
// libraries of a driver are added to the file that the image has. All else in it stays as the image's maker left it.
//
// # Nouns
//
// A Cache is the file, decoded: its Libraries in their order, and the names of the kinds of processor for which some of them are.
// A Library is one line of `ldconfig -p`.
//
// # What is never done here
//
// No file is opened here. The bytes are an image's and may say anything: what is not well formed is an error, and nothing beyond its
// end is read.
package ldcache
