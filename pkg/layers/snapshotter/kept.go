// This file owns the names in the directory of a tree that are not the tree's: what is mounted there, and files of others.

package snapshotter

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Kept are names that a tree never looks into, and that it neither writes nor removes. Nil is none. Directories above a kept name stay
// as well, but they are the tree's: it gives them owner, mode and times.
type Kept struct{ top *keptName }

// keptName is a kept name, or a directory above one.
type keptName struct {
	kind  keptKind
	names map[string]*keptName // only of above
}

type keptKind int

const (
	above   keptKind = iota // something in it is kept
	empty                   // a foreign file without content: a state may have the same there
	foreign                 // somebody's file: a state must not have anything there
	hiding                  // it hides what a state has there, as a mount does
)

// Hide keeps a path below the directory of the tree, and all that is in it. What a state has there is not shown.
func (k *Kept) Hide(name string) { k.keep(name, hiding) }

func (k *Kept) keep(name string, kind keptKind) {
	if k.top == nil {
		k.top = &keptName{}
	}
	at := k.top
	for _, base := range strings.Split(strings.Trim(path.Clean("/"+name), "/"), "/") {
		if at.kind == hiding || base == "" {
			return
		}
		next := at.names[base]
		if next == nil {
			next = &keptName{}
			if at.names == nil {
				at.names = map[string]*keptName{}
			}
			at.kind, at.names[base] = above, next
		}
		at = next
	}
	if at.kind = max(at.kind, kind); at.kind != above {
		at.names = nil
	}
}

// at finds a clean path: nil where neither it nor anything below it is kept.
func (k *Kept) at(name string) *keptName {
	if k == nil || k.top == nil {
		return nil
	}
	at := k.top
	for rest := strings.TrimPrefix(name, "/"); rest != "" && at != nil && at.kind == above; {
		var base string
		base, rest, _ = strings.Cut(rest, "/")
		at = at.names[base]
	}
	return at
}

// has says whether a clean path is kept, itself or by what is above it.
func (k *Kept) has(name string) bool {
	at := k.at(name)
	return at != nil && at.kind != above
}

// above says whether something below a clean path is kept, but not the path itself.
func (k *Kept) above(name string) bool {
	at := k.at(name)
	return at != nil && at.kind == above
}

// over is what is kept from a view. Where the view has a file or a link in the place of a directory in which something is mounted, that
// directory hides it, and is among the covers. Where it has something in the place of a foreign file, the error is a *ConflictError.
func (k *Kept) over(v *rootfs.View) (*Kept, []cover, error) {
	if k == nil || k.top == nil {
		return k, nil, nil
	}
	var covers []cover
	top, err := k.top.over(v, "/", &covers)
	return &Kept{top}, covers, err
}

func (n *keptName) over(v *rootfs.View, name string, covers *[]cover) (*keptName, error) {
	if n.kind == hiding {
		return n, nil
	}
	e, err := v.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return n, nil
	case err != nil:
		return nil, err
	case n.kind == empty && e.Mode&unix.S_IFMT == unix.S_IFREG && e.Size == 0:
		return n, nil
	case n.kind != above:
		return nil, &ConflictError{name}
	case !e.IsDir():
		for inside := range n.foreign(name) {
			return nil, &ConflictError{inside}
		}
		*covers = append(*covers, coverOf(v, name, n))
		return &keptName{kind: hiding}, nil
	}
	shown := &keptName{names: make(map[string]*keptName, len(n.names))}
	for base, child := range n.names {
		if shown.names[base], err = child.over(v, path.Join(name, base), covers); err != nil {
			return nil, err
		}
	}
	return shown, nil
}

// foreign lists the foreign files at and below a name.
func (n *keptName) foreign(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if n.kind == foreign || n.kind == empty {
			yield(name)
			return
		}
		for base, child := range n.names {
			for inside := range child.foreign(path.Join(name, base)) {
				if !yield(inside) {
					return
				}
			}
		}
	}
}

// same says whether two keep the same names.
func (k *Kept) same(other *Kept) bool {
	if k == nil || other == nil {
		return k == other
	}
	return k.top.same(other.top)
}

func (n *keptName) same(other *keptName) bool {
	if n == nil || other == nil || n == other {
		return n == other
	}
	if n.kind != other.kind || len(n.names) != len(other.names) {
		return false
	}
	for base, child := range n.names {
		if there := other.names[base]; there == nil || !child.same(there) {
			return false
		}
	}
	return true
}

// ConflictError says that a state has something where a foreign file is.
type ConflictError struct{ Name string }

// Error implements error.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("the image has something at %s, where a file was before the build", e.Name)
}

// Hint says what to do about it.
func (e *ConflictError) Hint() string {
	return "the image is built in the root directory of this container: move " + e.Name + " to a directory that the image does not have, or to a volume"
}
