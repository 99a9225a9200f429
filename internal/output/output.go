// This file owns the nouns of the package. What a kind does is in the file of that kind.

package output

import (
	"context"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// kind is one type of -o: a row of the table kinds.
type kind struct {
	name     string
	options  []string // The options that it knows, besides its type and, if it writes an image, imageOptions.
	image    bool     // It needs the image of the result.
	files    bool     // It needs the files of the result, which are read in the namespace.
	named    bool     // It needs a name, its own or one of the build's.
	reported bool     // Digests are reported of the image as this output writes it.

	// set reads the options of the kind, and finds out where the output goes. Without it there is nothing to read.
	set func(out *Output, from fields) error
	// prepare is called before the build. Without it there is nothing to prepare.
	prepare func(ctx context.Context, w *Writer, out *Output) error
	// write writes the output. The image of the result has the manifest that the output asks for. Without it nothing is
	// written.
	write func(ctx context.Context, w *Writer, out *Output, r build.Result) error
}

// Output is one place that the result of a build goes to.
type Output struct {
	kind *kind
	dest string // A path, or - for standard output.
	name string // Names of its own, with commas between them.

	layout   bool // tar=false: an OCI layout is written into a directory.
	single   bool // index=single: the layout has this image and no other, without a name.
	insecure bool // registry.insecure: the registry may speak plain http, or have an unknown certificate.
	byDigest bool // push-by-digest: the image gets no tag.
	split    bool // platform-split: the files go into a directory that is named for the platform.
	delete   bool // mode=delete: what else is in the directory goes.

	dockerTypes bool               // oci-mediatypes=false: the manifest has Docker's media types.
	annotations map[string]string  // These go into the manifest, over those of the build.
	compression *codec.Compression // Nil: the output takes any.
}

// names are those that the output gives, else the others.
func (out *Output) names(others []string) []string {
	if out.name == "" {
		return others
	}
	return strings.Split(out.name, ",")
}

// Display shows the work of writing an output.
type Display interface {
	// Begin opens a line of work; the function that it returns ends it.
	Begin(title string) func(error)
	// Progress reports the bytes of the line of work that was begun last.
	Progress(current, total int64)
}

// Writer sends the result of one build to its outputs.
type Writer struct {
	Store       *layers.Store
	Options     image.Options
	Display     Display
	Stdout      func() (*os.File, error) // Standard output, unless an archive must not be written there.
	Names       []string                 // Full names of the image, which it gets in the store, too.
	Annotations map[string]string
	Platform    v1.Platform

	// A tag that its registry does not let be changed is no error: it stays what it was.
	IgnoreImmutable bool

	ahead ahead
}
