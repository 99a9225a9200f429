// This file owns the table of the types of -o. What a kind is told and does is in the file of that kind.

package output

// kinds are all rows. Their order has no meaning.
var kinds = []*kind{&local, &tarball, &oci, &docker, &stored, &registry, &cacheOnly}

// cacheOnly leaves the result in the store, without a name.
var cacheOnly = kind{name: "cacheonly"}
