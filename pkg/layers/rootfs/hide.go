// This file owns what hides files of the snapshots below: whiteouts, which hide one name, and opaque directories.

package rootfs

import (
	"strings"

	"golang.org/x/sys/unix"
)

// Stacks says whether an attribute of that name says how directories are stacked, and is no part of a file.
func Stacks(name string) bool { return strings.HasPrefix(name, xattrOverlay) }

// Hide makes a whiteout at path, where nothing is.
func Hide(path string) error { return whiteoutAt(unix.AT_FDCWD, path) }

// SetOpaque marks the directory at path: it hides what the snapshots below have there.
func SetOpaque(path string) error { return setOpaque(unix.AT_FDCWD, path) }
