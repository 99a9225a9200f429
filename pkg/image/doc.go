// Package image moves images in from other places and out to them, and finds the credentials for that.
//
// A Ref names an image at one of four kinds of places: a registry, an OCI layout in a directory, an OCI layout in a tar, or an
// archive of `docker save`. Open, Digest and Write take a Ref of any kind; image.go alone chooses between the kinds.
//
// # The way in
//
// A place is where manifests and blobs are read from. There are three: client (a repository of a registry), layout (a directory
// or a tar) and docker (an archive, for which it makes up the manifest that is missing). An opening goes from a name through the
// indexes to the manifest for one platform, which classify has looked at before anything in it is believed. The result is a
// fetched image: its config is read at once, a layer when somebody reads that layer. Every byte passes a verifier, which says
// EOF only when the bytes have the size and the digest that were promised, so what a registry, a proxy or a disk changed on the
// way is never taken for the image. A blob whose connection breaks goes on where it was (resuming), and what a mirror fails to
// give is asked of the hub.
//
// # The way out
//
// For a registry, a push sends the blobs that the repository lacks, side by side, and then the manifest. Each blob is an upload,
// which knows the ways in which registries take bytes. Ahead starts before the image is complete: it sends layers while they are
// still written. For a layout or an archive, a bundle has the files, which writeDir and writeTar put down; the same image gives
// the same bytes. A Collection is a repository, or a layout, with many small images under one login: a shared cache.
//
// # The network
//
// Requests leave through package wire, which decides what may be sent where and how often. This package says what is asked, and
// typed turns the answers into errors: a NotFoundError, an UnauthorizedError with the credentials that were tried, or a
// RegistryError. IsAbsence tells the silence of a registry from an answer; callers go on without it only after silence.
//
// # Credentials
//
// A Keychain reads the files of Docker and podman and asks credential helpers, again for each login. What it finds is for one
// host, and goes to no other. certsFor reads the certificates of a host, Proxies what Docker gives to containers.
//
// # What is never done here
//
// Nothing is unpacked, and nothing is kept: the store of layers is another package's. No credential is written or logged. No
// file that is read is trusted to be what its name says, and no link in a layout leads out of it. A file appears whole, or
// stays what it was.
package image
