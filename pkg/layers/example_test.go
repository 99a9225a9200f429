package layers_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// A state begins as a draft, is committed under a key, and becomes layers.
func Example() {
	ctx, dir := context.Background(), must(os.MkdirTemp("", "example"))
	defer os.RemoveAll(dir)
	store := must(layers.Open(dir))
	defer store.Close()

	draft := must(store.Draft(ctx, layers.Key{})) // over scratch
	check(os.WriteFile(draft.Dir()+"/greeting", []byte("hello\n"), 0o644))
	key := layers.Key{1} // what a build makes of the step
	check(draft.Commit(ctx, key))

	view := must(store.View(key))
	check(view.Walk("/", func(e *rootfs.Entry) error {
		fmt.Printf("%s %o\n", e.Path, e.Mode&0o777)
		return nil
	}))
	options := layers.LayerOptions{Compression: codec.Compression{Algorithm: "zstd"}}
	for range 2 {
		all, existed, err := store.Layers(ctx, key, options)
		check(err)
		mediaType := must(all[0].MediaType())
		fmt.Println(len(all), "layer,", mediaType, "made before:", existed)
	}
	// Output:
	// / 755
	// /greeting 644
	// 1 layer, application/vnd.oci.image.layer.v1.tar+zstd made before: false
	// 1 layer, application/vnd.oci.image.layer.v1.tar+zstd made before: true
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}
