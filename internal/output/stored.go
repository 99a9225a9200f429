// This file owns type=image: further names of the image in the store, or with push=true what type=registry is.

package output

import (
	"context"

	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/image"
)

// stored has the options of registry, because with push=true it becomes one.
var stored = kind{name: "image", options: registry.options, image: true, reported: true,
	set: func(out *Output, from fields) error {
		push := false
		if err := from.boolean("push", &push); err != nil {
			return err
		}
		if push {
			out.kind = &registry
		}
		return setRegistry(out, from)
	},
	write: func(_ context.Context, w *Writer, out *Output, r build.Result) error {
		for _, name := range out.names(nil) {
			ref, err := image.ParseName(name)
			if err != nil {
				return err
			}
			if err := w.Store.Tag(ref.String(), r.Image); err != nil {
				return err
			}
		}
		return nil
	}}
