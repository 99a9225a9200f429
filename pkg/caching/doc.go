// Package caching says by which package managers a command fetches packages, why one of them can be given no cache, and
// how the command is executed with one.
//
// Calls are the calls of a command, read once from its shell text (pkg/shell). A tool (pkg/installer) fetches by a cache
// only where its calls are understood and nothing stands in front of them; else Uncached has the reason. WithCache sets
// the variable that says where the cache is, and blanks what turns it off, so that lines and places stay. A Dockerfile that
// tells pip to keep no cache (KeepsNone) also relies on finding nothing that another call has built: Separate gives each
// such call a directory of its own. Builds says whether what a tool builds may be kept, and in doubt that it is not sure.
//
// The command that a key and the history of an image are made of is never changed: all functions return copies. No text
// of a script is changed, since the file may stay in the image. No cache is opened here.
package caching
