//go:build cgo && seccomp

// This file owns the answer whether this program can filter system calls, where it was built with libseccomp.

package host

// FiltersCalls says whether this program was built with libseccomp.
const FiltersCalls = true
