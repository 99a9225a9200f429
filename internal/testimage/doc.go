// Package testimage makes what tests stand on, from what the machine has: base images from Debian's busybox-static and
// from mmdebstrap, Python wheels written in code, a package index and a registry on loopback. It imports nothing of
// gbuild, so that a fault there cannot hide in the inputs of its own tests.
//
// Shell is the base of most tests: a shell and a few users, made in a second. Python is a whole Debian with pip, made once
// in a minute and kept. A Wheel is a package of made-up files, or of Debian's real ones; an Index offers wheels as pip asks
// for them, and says afterwards what was asked. A Registry takes and gives images, and can be told to fail.
//
// Whatever is made is the same each time: all files have one time, and bytes come from a source that is seeded. Nothing
// is asked of a host outside this machine, but Debian's mirror for Python.
package testimage
