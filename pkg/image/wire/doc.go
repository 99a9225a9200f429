// Package wire carries requests to one registry, and decides on the way what may be sent where, how often, and for how long.
//
// Connections.Open gives an http.Client for one registry. Each of its requests passes four RoundTrippers, from the caller to the
// network:
//
//	eager    sends the request before it asks the registry how it wants to be asked, where no login is known
//	session  logs in, and logs in again when the registry no longer takes the token
//	retrier  sends a request again after a failure that passes, and gives up one that stalls
//	guard    refuses what must not be sent: credentials to strangers, plain http to other machines, a way to local services
//
// The login itself is ggcr's transport, which asks through retrier and guard as well. The package knows hosts, headers and
// bodies; it knows no image, no reference and no credential file. What an answer means is the business of its callers: they get
// the registry's answers with every status, and errors that Passing, Cut and StatusOf tell apart.
//
// Nothing here reads the environment except through http.ProxyFromEnvironment, and nothing writes to a terminal or to a disk.
package wire
