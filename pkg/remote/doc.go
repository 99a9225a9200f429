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
// This package copies no file into an image, and knows neither steps nor keys.
package remote
