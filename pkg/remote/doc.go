// Package remote fetches what a Dockerfile or a user names that lies elsewhere: files of web servers, and git repositories.
//
// A Fetcher has what all its requests share: whose credentials they take along, how much they may bring, what they may
// reach, and the store that keeps downloads. A file is fetched by its URL (http.go). A GitSource is an address with a ref,
// which is asked for once in a build and leads to a commit (gitref.go); Checkout fetches that one commit, with its
// submodules, and makes its files the same for everyone (gitcheckout.go). Git itself is the program git.
//
// Two rules hold wherever a server leads. Nothing is connected to that a RUN could not reach: what dials here asks the reach
// of its source (reach.go), and git, which dials itself, goes by a proxy and a program of ours (gitguard.go, gitdial.go).
// And no host gets credentials that are meant for another one: not by a redirect, and not by a submodule.
//
// # Once in a build
//
// What a step copies must be what its key was made of. So a Fetched remembers, for one build, which file a URL led to and which
// commit a ref was; between builds the store keeps files by their URL, and asks with the ETag whether they are still good.
//
// # Bounds
//
// Nobody knows how much a stranger's server sends, or whether it ever ends: all that is fetched has Bounds, in bytes and in the
// time in which nothing comes. The packs of git are watched while they grow.
//
// This package copies no file into an image, and knows neither steps nor keys.
package remote
