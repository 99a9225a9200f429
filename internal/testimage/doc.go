// Package testimage makes what tests stand on, from what the machine has: base images from Debian's busybox-static and
// from mmdebstrap, Python wheels written in code, a package index and a registry on loopback. It imports nothing of
// gbuild, so that a fault there cannot hide in the inputs of its own tests.
package testimage
