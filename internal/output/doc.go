// Package output knows where the result of a build goes: what -o says, and how it is written.
//
// A kind is one type of -o, such as oci or registry: a row that says what the kind can be told, what it needs of the build,
// and which function writes it. The row and the function are in one file, at times with those of a sister; the table kinds
// lists the rows. Nothing else compares the names of kinds: who wants to know something of an output asks its kind. So a new type of output is a
// new file, and a line in the table.
//
// Parse makes an Output of the fields of one -o. Check says whether several go together, NeedFiles and NoImage what the
// build must do for them, and CompressionOf how it compresses the layers, which all of them share. A Writer has what all
// outputs need: the store, the names, the way to registries. Its Prepare is called before the build, so that layers leave
// for a registry while later steps run; its Write is called with the result, and returns the image whose digest is that
// of the build. Receipts are the small files that scripts read digests from.
//
// An error of Parse, Check and CompressionOf is about the command line, and names the flag. Nothing here prints, nor reads
// the environment.
package output
