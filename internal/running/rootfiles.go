// This file owns the files that every container has in its root, whatever the image has there: programs look for them to find out
// that they are in a container, what is mounted, and what the container is called. They are docker's.

package running

import (
	"errors"
	"io/fs"
	"os"
)

// makeRootFiles makes /.dockerenv, /etc/hostname and /etc/mtab in the root of a container. No link leads out of the root: an image
// whose /etc is elsewhere, by an absolute link, keeps what it has.
func makeRootFiles(root, hostname string) error {
	r, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := replace(r, ".dockerenv", func(name string) error { return r.WriteFile(name, nil, 0o755) }); err != nil {
		return err
	}
	if err := r.Mkdir("etc", 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := r.Stat("etc"); err != nil || !info.IsDir() {
		return nil
	}
	return errors.Join(
		replace(r, "etc/hostname", func(name string) error {
			return errors.Join(r.WriteFile(name, []byte(hostname+"\n"), 0o644), r.Chmod(name, 0o644))
		}),
		replace(r, "etc/mtab", func(name string) error { return r.Symlink("/proc/mounts", name) }))
}

// replace makes a file in the place of another one, but not of a directory.
func replace(r *os.Root, name string, create func(string) error) error {
	if info, err := r.Lstat(name); err == nil && info.IsDir() {
		return nil
	}
	if err := r.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return create(name)
}
