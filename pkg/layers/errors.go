// Errors that callers tell apart.

package layers

import (
	"fmt"
	"io/fs"
)

// NotFoundError says that the store has no such image, snapshot or blob. It is fs.ErrNotExist to errors.Is.
type NotFoundError struct {
	Kind, Name string
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("no %s %s in the local store", e.Kind, e.Name)
}

// Is makes a NotFoundError an fs.ErrNotExist.
func (e *NotFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// Hint says what to do about the error.
func (e *NotFoundError) Hint() string {
	if e.Kind == "image" {
		return "list the local images with `gbuild images`"
	}
	return "build it again"
}

// CorruptError says that bytes do not have the digest or the form that they must have.
type CorruptError struct {
	What string
	Err  error
}

func (e *CorruptError) Error() string { return fmt.Sprintf("corrupt %s: %v", e.What, e.Err) }

func (e *CorruptError) Unwrap() error { return e.Err }
