// This file owns files that never reach a disk, where nothing can be mounted for them: they lie in the memory that the place has mounted.

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// shmDir is where places have a file system in memory.
const shmDir = "/dev/shm"

// memoryPattern names the directories of builds there.
const memoryPattern = "gbuild-"

// MemoryDir makes a directory in memory, and the function that removes it. Everybody may enter it and nobody but its owner list it: users
// of a command reach in it what they were given. What dead processes have left is removed.
func MemoryDir() (dir string, remove func() error, err error) { return memoryDir(shmDir) }

func memoryDir(in string) (dir string, remove func() error, err error) {
	if !InMemory(in) {
		return "", nil, &Missing{What: "there is no file system in memory at " + in + ", which secrets and scripts of a RUN need here", Remedy: "let the container have its " + shmDir}
	}
	reapMemory(in)
	for {
		dir, held, err := heldDir(in)
		if err != nil {
			return "", nil, fmt.Errorf("making a directory in memory: %w", err)
		}
		if Exists(dir) { // another process may have taken it for a dead one's before it was held
			return dir, func() error {
				defer held.Close()
				return os.RemoveAll(dir)
			}, nil
		}
		held.Close()
	}
}

// heldDir makes a directory and holds it.
func heldDir(in string) (dir string, held *os.File, err error) {
	if dir, err = os.MkdirTemp(in, memoryPattern); err != nil {
		return "", nil, err
	}
	if held, err = os.Open(dir); errors.Is(err, fs.ErrNotExist) {
		return heldDir(in)
	}
	if err == nil {
		err = errors.Join(unix.Flock(int(held.Fd()), unix.LOCK_EX), held.Chmod(0o711))
	}
	return dir, held, err
}

// reapMemory removes directories that nobody holds.
func reapMemory(in string) {
	all, _ := filepath.Glob(filepath.Join(in, memoryPattern+"*"))
	for _, dir := range all {
		held, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(held.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(dir)
		}
		held.Close()
	}
}

// InMemory says whether what lies in a directory never reaches a disk by its file system.
func InMemory(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && (st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC)
}
