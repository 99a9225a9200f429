package image_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/image"
)

// A short name belongs to Docker Hub; a prefix names a file or a directory.
func ExampleParseRef() {
	for _, s := range []string{"python:3.12", "registry.example:5000/team/app", "oci:out:app", "Team/App"} {
		r, err := image.ParseRef(s)
		if err != nil {
			fmt.Println(err)
			fmt.Println(hint.Of(err) != "")
			continue
		}
		fmt.Println(r.Kind, r)
	}
	// Output:
	// registry docker.io/library/python:3.12
	// registry registry.example:5000/team/app:latest
	// oci oci:out:app
	// image name "Team/App": "Team" has upper case letters; names of repositories are lower case
	// true
}

// An image is written to an OCI layout, and read again by its name there. Another kind of Ref pushes it, or makes an archive.
func ExampleWrite() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ref, err := image.ParseRef("oci:" + filepath.Join(dir, "layout") + ":app")
	if err != nil {
		log.Fatal(err)
	}
	img, err := mutate.Config(empty.Image, v1.Config{Cmd: []string{"serve", "--port=80"}})
	if err != nil {
		log.Fatal(err)
	}
	written, err := image.Write(ctx, ref, img, image.WriteOptions{})
	if err != nil {
		log.Fatal(err)
	}
	now, err := image.Digest(ctx, ref, image.Options{})
	if err != nil {
		log.Fatal(err)
	}
	again, err := image.Open(ctx, ref, image.Options{})
	if err != nil {
		log.Fatal(err)
	}
	config, err := again.ConfigFile()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(now == written, config.Config.Cmd)
	// Output: true [serve --port=80]
}

// A collection holds many small images, each under a tag that begins with the collection's own.
func ExampleCollection() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cache, err := image.NewCollection(image.Ref{Kind: image.KindOCI, Path: dir, Tag: "ci"}, image.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for _, tag := range []string{"base", "deps"} {
		if err := cache.Write(ctx, tag, empty.Image); err != nil {
			log.Fatal(err)
		}
	}
	tags, err := cache.Tags(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tags)
	// Output: [base deps]
}
