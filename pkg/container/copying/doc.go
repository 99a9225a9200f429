// Package copying moves files in and out of a directory tree as tars: that of a container, whose files a stranger may have made and
// may be changing at this moment, or one of the host. Every path is looked up below the root that is given, by the kernel
// (openat2), so that no link in the tree and none that a tar brings leads out of it. Where files are to go, and what they are called
// there, is decided by Plan, which touches nothing.
package copying
