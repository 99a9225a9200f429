package main

import (
	"context"

	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/layers"
)

// ahead sends layers to where the image will be pushed, while later steps run. It has one image.Ahead for each
// repository, by its name.
type ahead map[string]*image.Ahead

// sendAhead makes the store's new layers leave for the registries that the outputs name.
func (w *writer) sendAhead(ctx context.Context, outputs []output) error {
	w.ahead = ahead{}
	for _, out := range outputs {
		if out.kind != "registry" {
			continue
		}
		o := w.pushOptions(out)
		o.Report = nil
		for _, n := range out.names(w.names) {
			ref, err := image.ParseName(n)
			if err != nil {
				return err
			}
			to := w.ahead[ref.Name()]
			if to == nil {
				if to, err = image.NewAhead(ctx, ref, o.Options); err != nil {
					return err
				}
				w.ahead[ref.Name()] = to
			}
			if ref.Digest == "" && !out.byDigest {
				to.Ask(ref.Tag)
			}
		}
	}
	if len(w.ahead) > 0 {
		w.store.Sending = w.ahead.send
	}
	return nil
}

func (a ahead) send(g *layers.Growing) {
	for _, to := range a {
		to.Send(g, g.Known())
	}
}

// close ends what is under way: the build has failed.
func (a ahead) close() {
	for _, to := range a {
		to.Close()
	}
}
