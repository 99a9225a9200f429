// This file owns the order in which a result is written: what is prepared before the build, the names in the store, and
// one output after the other.

package output

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/image"
)

// Prepare begins what can be done before there is a result. Close ends it.
func (w *Writer) Prepare(ctx context.Context, outputs []*Output) error {
	w.ahead = ahead{}
	for _, out := range outputs {
		if out.kind.prepare == nil {
			continue
		}
		if err := out.kind.prepare(ctx, w, out); err != nil {
			return err
		}
	}
	return nil
}

// Close ends what Prepare began and no output used.
func (w *Writer) Close() { w.ahead.close() }

// Write writes a result to all outputs. It returns the image that digests are reported of: the one that all image outputs
// write, where they agree; nil where the build made none.
func (w *Writer) Write(ctx context.Context, r *build.Result, outputs []*Output) (img v1.Image, err error) {
	var named chan error
	if r.Image != nil {
		if img, err = w.reported(outputs).reshape(r.Image, w.Annotations); err != nil {
			return nil, err
		}
		named = make(chan error, 1)
		go func() { named <- w.tag(img) }() // waits for the disk, an output for others
	}
	for _, out := range outputs {
		if err = w.WriteTo(ctx, r, out); err != nil {
			break
		}
	}
	if named != nil {
		err = cmp.Or(err, <-named)
	}
	return img, err
}

// WriteTo writes a result to one output, and gives it no name in the store.
func (w *Writer) WriteTo(ctx context.Context, r *build.Result, out *Output) error {
	if out.kind.write == nil {
		return nil
	}
	result := *r
	if out.kind.image {
		var err error
		if result.Image, err = out.reshape(r.Image, w.Annotations); err != nil {
			return err
		}
	}
	return out.kind.write(ctx, w, out, result)
}

// reported is the output whose image has the digest that is reported.
func (w *Writer) reported(outputs []*Output) *Output {
	if i := slices.IndexFunc(outputs, func(o *Output) bool { return o.kind.reported }); i >= 0 {
		return outputs[i]
	}
	return &Output{}
}

// tag gives the image its names in the store.
func (w *Writer) tag(img v1.Image) error {
	for _, n := range w.Names {
		if err := w.Store.Tag(n, img); err != nil {
			return fmt.Errorf("naming the image %s: %w", n, err)
		}
	}
	return nil
}

// transfer is one image on its way to a place.
type transfer struct {
	title   string
	to      image.Ref
	options image.WriteOptions
}

// transfer writes an image and reports it as one line of work.
func (w *Writer) transfer(ctx context.Context, t transfer, img v1.Image) error {
	done := w.Display.Begin(t.title)
	t.options.Report = w.Display.Progress
	_, err := image.Write(ctx, t.to, img, t.options)
	done(err)
	return err
}
