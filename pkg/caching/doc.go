// Package caching says by which package managers a command fetches packages, why one of them can be given no cache, and
// how the command is executed with one.
//
// # Nouns
//
// Calls are the calls of a command, read once from its shell text (pkg/shell). A tool (pkg/installer) fetches by a cache
// that the RUN is given only where its calls are understood, and nothing stands in front of them that keeps the cache
// from them. Uncached gives the reason where one does.
//
// # How a command is changed
//
// WithCache sets the variable that says where the cache is, and takes out what turns it off. A change blanks words where
// they stand, so that lines and places stay as they were; everything else is left alone. A Dockerfile that tells pip to
// keep no cache (KeepsNone) also relies on finding nothing that another call has built: Separate gives each such call a
// directory of its own.
//
// What a tool builds itself may be kept, too, if building it again would give the same. Builds says what the text of a
// command says about that, and in doubt that it is not sure.
//
// # What is never done here
//
// The command that a key and the history of an image are made of is never changed: every function returns a copy. No text
// of a script is changed, since the file may stay in the image. No cache is opened here.
package caching
