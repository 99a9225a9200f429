// This file owns what a draft changed and no state is to have.

package layers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// Forget drops what the draft changes at these paths, and below them: there the state will be as it was before. It ends the mount.
func (d *Draft) Forget(paths []string) error {
	if err := d.Unmount(); err != nil {
		return err
	}
	root, err := os.OpenRoot(d.Dir())
	if err != nil {
		return fmt.Errorf("opening a draft: %w", err)
	}
	defer root.Close()
	forgot := false
	for _, p := range paths {
		name := path.Clean("/" + p)[1:]
		if name == "" {
			continue
		}
		if _, err := root.Lstat(name); errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue
		}
		if err := root.RemoveAll(name); err != nil {
			return fmt.Errorf("leaving %s out of a layer: %w", p, err)
		}
		forgot = true
	}
	if forgot && d.tree != nil {
		return d.dropTree() // it still has them
	}
	return nil
}
