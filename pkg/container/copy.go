// This file owns the files of a container that runs, as others ask for them: its own processes pack and unpack them, in its mounts
// and with its users.

package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/container/copying"
)

// copyRequest is what a request says of files.
type copyRequest struct {
	Path           string
	First          string // what the first entry of a tar is called
	Follow, Owners bool
}

// Stat says what a path in the container is.
func (c *Container) Stat(path string) (copying.Info, error) {
	conn, err := c.ask(request{Op: opStat, Copy: copyRequest{Path: path}})
	if err != nil {
		return copying.Info{}, err
	}
	defer conn.Close()
	var a answer
	if err := json.NewDecoder(conn).Decode(&a); err != nil {
		return copying.Info{}, errors.New("the container ended")
	}
	if a.Error != "" {
		return copying.Info{}, hint.Wrap(errors.New(a.Error), a.Hint)
	}
	return a.File, nil
}

// Pack lets the container write a tar of a path to a file. See copying.Pack.
func (c *Container) Pack(to *os.File, path, first string, follow bool) error {
	return c.copy(request{Op: opPack, Copy: copyRequest{Path: path, First: first, Follow: follow}}, to)
}

// Unpack lets the container read a tar from a file. See copying.Unpack.
func (c *Container) Unpack(from *os.File, dir string, owners bool) error {
	return c.copy(request{Op: opUnpack, Copy: copyRequest{Path: dir, Owners: owners}}, from)
}

func (c *Container) copy(r request, f *os.File) error {
	conn, err := c.ask(r, f)
	if err != nil {
		return err
	}
	defer conn.Close()
	f.Close() // the container has it: who is on its other end must learn of the container's end
	_, err = readAnswer(conn)
	return err
}

// copy implements handler. The root of the command is the one with the mounts of the container.
func (s *Session) copy(r request, files []*os.File) (info copying.Info, err error) {
	p := s.running()
	if p == nil {
		return info, errNotRunning
	}
	root, err := os.Open(fmt.Sprintf("/proc/%d/root", p.Pid()))
	if err != nil {
		return info, fmt.Errorf("opening the files of the container: %w", err)
	}
	defer root.Close()
	switch r.Op {
	case opPack:
		return info, copying.Pack(files[0], root, r.Copy.Path, r.Copy.First, r.Copy.Follow)
	case opUnpack:
		return info, copying.Unpack(files[0], root, r.Copy.Path, r.Copy.Owners)
	}
	return copying.Stat(root, r.Copy.Path), nil
}
