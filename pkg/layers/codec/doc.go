// Package codec turns the tar of a layer into the bytes of a blob, and back: bytes in, bytes out. It knows neither a store nor
// a snapshot, and opens no file by its name, so that each part of it can be tested, and fuzzed, alone.
//
// # Outwards
//
// Compress takes a function that writes a tar, and a Compression, which says how. The stream is cut into blocks, which are
// compressed side by side and written in their order (compress.go). What a block becomes depends on its own bytes and on the
// window before it, and on nothing else: not on the number of processors, and not on time. The formats are in formats.go;
// eStargz, which also needs to know where the files of the tar are, is in stargz.go.
//
// Whoever writes the tar may say where the content of a large file begins and ends (FileWriter). Such a file is compressed for
// itself. So its blocks are the same in any tar, and may be made before there is a tar: Blocks keeps them (blocks.go).
//
// # Inwards
//
// Decompress tells the format by the first bytes. The decoder of gzip is our own (inflate.go, inflatecodes.go, gunzip.go),
// since most of the time of a pull is spent there. xz is read by a library, behind a look at what it asks for (xz.go). Nobody
// trusts what comes in: memory is bounded, a corrupt stream is an error, and Limit ends one that unpacks to too much.
//
// # Never
//
// A format that has been written once is not changed: layers that were made from the same files by two versions of gbuild are the
// same bytes, and caches of other machines rely on it. What depends on the number of processors is how fast it goes.
package codec
