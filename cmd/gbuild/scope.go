package main

import "path/filepath"

// resolvedPath is a path as it is wherever the command stands, without links where they can be followed.
func resolvedPath(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real
	}
	return abs
}
