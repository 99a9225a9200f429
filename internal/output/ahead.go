// This file owns the way of layers to registries while the image is still built.

package output

import (
	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/layers/growing"
)

// ahead has what sends layers to where the image will be pushed, while later steps run: one image.Ahead for each
// repository, by its name.
type ahead map[string]*image.Ahead

// send offers a layer that has begun to be compressed to every repository. It is called by the store, for each layer.
func (a ahead) send(g *growing.Blob) {
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
