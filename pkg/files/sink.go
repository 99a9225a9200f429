// This file owns what a placement tells its sinks, and the sink that is a layer while it is written.

package files

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// ErrNotPackable says that a COPY has to be done file by file: it is no plain copy of one directory or of files, or it fails.
var ErrNotPackable = errors.New("the step cannot be packed")

// sink makes what a placement tells, in the directory that was entered last. There are three: a directory, a layer,
// and a tree in memory.
type sink interface {
	enter(d *placed) error // starts a directory: it is made where nothing is below it
	leave(d *placed) error // ends the directory that was entered last, and gives it what it takes
	put(f *placed) error   // makes anything but a directory
}

// placed is a name as it will be.
type placed struct {
	*rootfs.Entry
	below *rootfs.Entry // what is there now; nil: nothing
	first string        // where the file has a copy by another of its names: that one
	takes takes
}

// takes is what a directory takes of its entry when it is left.
type takes int

const (
	nothing    takes = iota // one that is only passed: it stays as it is
	itsTime                 // one that is there, and in which something is made
	itsMode                 // one that is there, on the way to what --parents names
	everything              // one that is new, or that a source has, too
)

// takeTime has a directory get the time at.
func (d *placed) takeTime(at time.Time) {
	if d.ModTime = at; d.takes == nothing {
		d.takes = itsTime
	}
}

// refusal is the error of a step that what is at its destination forbids. It has no layer, either.
type refusal string

func refuse(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

func (r refusal) Error() string { return string(r) }

// Is makes the error one of ErrNotPackable.
func (r refusal) Is(target error) bool { return target == ErrNotPackable }

// layerSink is the layer that is written of a step.
type layerSink struct{ *rootfs.LayerWriter }

// enter writes a directory. One that is there is merged with it, but for its attributes: those are for the draft.
func (s layerSink) enter(d *placed) error {
	if d.Path == "/" {
		return nil
	}
	if d.below != nil && d.takes == everything {
		if xattrs, err := d.below.Xattrs(); err != nil || len(xattrs) > 0 { // those would be merged
			return cmp.Or(err, ErrNotPackable)
		}
	}
	return s.Enter(d.Entry)
}

func (s layerSink) leave(d *placed) error {
	if d.Path != "/" {
		s.Leave()
	}
	return nil
}

func (s layerSink) put(f *placed) error {
	if f.Type() == unix.S_IFSOCK || f.below != nil && f.Nlink > 1 { // of several names, some may not be copied
		return ErrNotPackable
	}
	return s.Put(f.Entry)
}

// nodeContent reads a file of a tree.
type nodeContent struct {
	tree Tree
	node *Node
}

// Open, Xattrs and Unchanged read the file for a layer or a draft.
func (c *nodeContent) Open() (*os.File, error) { return c.tree.Open(c.node) }

func (c *nodeContent) Xattrs(f *os.File) (map[string][]byte, error) {
	if f == nil {
		return c.node.Xattrs()
	}
	return xattrsOf(c.node, f)
}

func (c *nodeContent) Unchanged(f *os.File) error { return unchanged(f, c.node) }

// Want says that the file will be opened, where it is read out of a layer.
func (c *nodeContent) Want() {
	if c.node.entry != nil {
		c.node.entry.Want()
	}
}

// Sum is the digest of a file that is read out of a layer.
func (c *nodeContent) Sum() []byte {
	if c.node.entry == nil {
		return nil
	}
	return c.node.entry.ContentSum()
}
