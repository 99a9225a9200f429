// This file owns the walk that counts what is in a cache. The commands of builds have written it, so no link is followed,
// and what this user may not read is counted as far as it is seen.

package pipcache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"
	"syscall"
)

// contents is what a walk through a cache finds.
type contents struct {
	bytes  int64 // These are bytes on disk.
	files  int
	wheels []Wheel
}

// scan walks a cache without following links: what is in it was written by the commands of builds. What this user may
// not read is counted as far as it is seen. With since, only files that changed since then count.
func scan(dir string, since *syscall.Timespec) (contents, error) {
	var c contents
	root, err := os.OpenRoot(dir)
	if err != nil {
		return c, fmt.Errorf("reading cache: %w", err)
	}
	defer root.Close()
	seen := map[[2]uint64]bool{}
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return passOver(path, err)
		}
		info, err := d.Info()
		if err != nil {
			return passOver(path, err)
		}
		st := info.Sys().(*syscall.Stat_t)
		id := [2]uint64{st.Dev, st.Ino}
		if seen[id] && !d.IsDir() || since != nil && !changed(st, *since) {
			return nil
		}
		seen[id] = true
		if since == nil || !d.IsDir() {
			c.bytes += st.Blocks * 512
		}
		if d.Type().IsRegular() {
			c.files++
		}
		if w, ok := wheelAt(root, path, info); ok {
			c.wheels = append(c.wheels, w)
		}
		return nil
	})
	sort.Slice(c.wheels, func(i, j int) bool { return c.wheels[i].less(c.wheels[j]) })
	return c, err
}

// passOver ignores what vanished or is closed to this user, but not the cache itself.
func passOver(path string, err error) error {
	if path != "." && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
		return nil
	}
	return fmt.Errorf("reading cache: %w", err)
}

// changed compares the time that nobody can set: ctime. Equal is changed, because the clock of a file system may stand
// still for some milliseconds.
func changed(st *syscall.Stat_t, since syscall.Timespec) bool {
	return st.Ctim.Nano() >= since.Nano()
}
