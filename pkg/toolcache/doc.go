// Package toolcache gives the package managers that a RUN calls caches which the Dockerfile has not asked for, and says what
// they did with them.
//
// A Build is what the RUNs of one build share; Begin makes the Caches of one RUN. Give leases a cache for each tool that the RUN
// calls, and returns the RUN as it is to be executed: with mounts below /dev, and with words that lead its tools there. Leases
// has what the RUN was given of directories that outlive it; the cache mounts of the Dockerfile are taken from it, too, since
// the rules of trust scopes hold for both (leases.go). An Output reads what the tools print, and Report says, when the RUN has
// ended, what each cache was used for.
//
// A cache must leave no trace in an image. So its mounts are where no file of the image can be, the key and the history of
// the step do not know of it, and what pip and uv build is found again only by a RUN that would build the same (builtscope.go).
//
// # Scopes
//
// A cache has the trust scope of the build in its name: what a RUN of one project leaves in it reaches no other project. Two things
// are narrower or wider than that. What is built in a RUN has a scope that names all that the build can see; and files that pip
// has fetched are lent to other scopes, where a page that pip fetched in that very scope names their digest (lend.go).
//
// # Failures
//
// Nobody has asked for these caches. So a cache that cannot be had is said, and the RUN goes on without; and a RUN that fails
// because of what is in one is executed once more, with an empty one in its place (Stale).
//
// This package executes nothing, and knows neither stages nor states but by what a Run tells it. How a tool is called, and
// how its lines and files read, is in pkg/installer and pkg/caching.
package toolcache
