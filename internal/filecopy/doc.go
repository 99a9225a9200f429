// Package filecopy copies files as they lie on disk: content with its holes, owner, attributes, mode, times, and which names are one
// file. Where the file system can, a copy shares its blocks with the original until one of them is written to.
//
// A hard link would be cheaper than a copy, and is never made to an original: who writes into the copy would change it.
package filecopy
