// Package image moves images in from other places and out to them: registries, OCI layouts and archives. It also finds
// the credentials for a registry, and keeps them bound to its host.
package image
