// This file owns what a caller says about the writing of an image.

package image

import (
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// WriteOptions say how an image is written.
type WriteOptions struct {
	Options
	// Tags are further names of the image in a layout or an archive: full references.
	Tags []string
	// Alone leaves a layout no other image than this one.
	Alone bool
	// Output is where an archive whose path is Stdout goes.
	Output io.Writer
	// KeepTypes leaves Docker's media types to an image in an OCI layout, where many readers do not look for them.
	KeepTypes bool
	// Ahead has sent layers of the image, which was made just now, to the repository: it is not asked for them again. May be nil.
	Ahead *Ahead
	// Manifest returns the manifest with a digest where this machine has it, else nil. The repository has the layers of the
	// one that the reference stood for until now, so it is not asked for them either. May be nil.
	Manifest func(v1.Hash) []byte
}
