// This file owns the chown of scripts of tests where the owners of files are marks.

package testtree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Owners begins a program of tests whose scripts give files to other users, and returns what ends it. Where owners are marks, the chown
// of scripts is this program itself, which marks; no other chown could.
func Owners() (end func()) {
	if filepath.Base(os.Args[0]) == "chown" {
		if err := chown(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "chown:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if !rootfs.Marked() {
		return func() {}
	}
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "chown")
	if err == nil {
		err = os.Symlink(self, filepath.Join(dir, "chown"))
	}
	if err != nil {
		panic(err)
	}
	os.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() { os.RemoveAll(dir) }
}

// chown is chown(1) for owners by number, with -R and -h.
func chown(args []string) error {
	deep, links := false, false
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		deep, links = deep || args[0] == "-R", links || args[0] == "-h"
		args = args[1:]
	}
	if len(args) < 2 {
		return errors.New("chown wants [-R] [-h] UID[:GID] and files")
	}
	user, group, both := strings.Cut(args[0], ":")
	give := func(path string) error {
		e, err := rootfs.Lstat(path, path)
		if err != nil {
			return err
		}
		owner := e.Owner()
		if owner.UID, err = strconv.Atoi(user); err == nil && both {
			owner.GID, err = strconv.Atoi(group)
		}
		if err != nil {
			return err
		}
		return owner.GivePath(path)
	}
	for _, path := range args[1:] {
		if !deep && !links {
			real, err := filepath.EvalSymlinks(path)
			if err != nil {
				return err
			}
			path = real
		}
		err := filepath.WalkDir(path, func(name string, _ fs.DirEntry, err error) error {
			if err == nil && (deep || name == path) {
				err = give(name)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
