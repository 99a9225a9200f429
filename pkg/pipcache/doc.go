// Package pipcache keeps cache mounts: directories that outlive builds and are bound into a RUN, or into a container. It
// hands out leases on them, says what is inside, and removes them only when asked to.
//
// Its name says less than it holds. pip's cache is what most of it is about, and the only one whose files it reads. But
// whoever writes --mount=type=cache gets a directory of this package, whatever a command keeps in it: npm's packages,
// ccache's objects, apt's lists, the wheels of uv. And a named volume of `gbuild run -v NAME:/PATH` is one of its caches
// too, in a directory of its own, which nothing empties.
//
// # Nouns
//
// Caches is a directory of caches. Each of them is one directory below it: what a RUN sees is in "data", and beside that
// are a lock, and the Identity of the cache, which names it. An Identity is an id, as a Dockerfile writes it, with those
// whom the cache belongs to: a trust (whose builds may have it), a scope (what parts caches of one owner), and owner and
// mode of the directory, where they were asked for. Two builds that ask for the same get the same directory.
//
// A Lease is the right to use a cache. It is shared with others, held alone, or one of several directories of the same
// Identity, as the Sharing says. It ends by Release, or with the process, since the kernel takes back its lock. A lease
// may be renewed: then an empty directory stands for the cache, and what a RUN left in it replaces what the cache has,
// name by name, at the end.
//
// Bodies are the large files that pip has fetched, under the digests of their bytes, for all caches of one user id. They
// are hard links to files in caches; who drops the last cache that has one drops the file. A Lending watches
// pip's cache while a RUN uses it: it reads each page of an index as pip stores it, and makes those files of Bodies
// entries of the cache whose digests are on the page. So a file is fetched once, although caches of different trusts
// never share a directory.
//
// Whose a file is for a RUN is said by its owner on disk, or where a process has one id only, by a mark (rootfs.Marked). A cache has
// files of one kind: that is a part of its Identity.
//
// Wheels are what the caches of pip and uv have of distributions; Usage says which of them came during a lease, and Info
// which there are.
//
// # How they meet
//
// A build opens Caches and acquires a Lease for each cache mount of a RUN. With pip it lends Bodies as long as the RUN
// lasts. Afterwards it keeps what pip has fetched (Bodies.Keep), makes pip ask again for what may have changed (Age),
// removes wheels that pip would find by an address alone (DropUndigested), and releases the lease; a cache of what is
// built for one state of a build, of which there are many, stays only if there is something in it (ReleaseFilled,
// TrimBuilt). Package travel moves the files of caches to other machines.
//
// # What is never done here
//
//   - Nothing is removed because it is old, but for caches of what was built, whose bounds are in built.go.
//   - No link in a cache is followed, and nothing in a cache is believed: the commands of builds have written it. A
//     digest is compared again before a file is lent, and pip compares it once more.
//   - No file crosses from one trust to another, but for Bodies, and these only to a cache whose pip has fetched a page
//     with their digest by itself.
//   - Nothing depends on who is said to hold a lock: that text is for messages. Locks do not work across machines, so
//     a directory on a network file system must have one user.
//   - It knows no build, no step and no image. What it must know of a RUN it is told (LendOptions, Options.Seed).
package pipcache
