package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/outfile"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/layers"
)

// writer sends a result to its outputs.
type writer struct {
	app         *app
	store       *layers.Store
	options     imageOptions
	show        *display
	names       []string
	annotations map[string]string
	platform    v1.Platform
	ahead       ahead
}

func (w *writer) write(ctx context.Context, o *buildOptions, r *build.Result, outputs []output) error {
	img := r.Image
	var named chan error
	if img != nil {
		var err error
		if img, err = w.shape(img, outputs); err != nil {
			return err
		}
		named = make(chan error, 1)
		go func() { named <- w.name(img) }() // waits for the disk, an output for others
	}
	err := w.outputs(ctx, r, outputs)
	if named != nil {
		err = cmp.Or(err, <-named)
	}
	if err != nil {
		return err
	}
	return w.finish(ctx, o, img)
}

// name gives the image its names here.
func (w *writer) name(img v1.Image) error {
	for _, n := range w.names {
		if err := w.store.Tag(n, img); err != nil {
			return fmt.Errorf("naming the image %s: %w", n, err)
		}
	}
	return nil
}

func (w *writer) outputs(ctx context.Context, r *build.Result, outputs []output) error {
	for _, out := range outputs {
		if err := w.output(ctx, out, r); err != nil {
			return err
		}
	}
	return nil
}

// shape makes the image that digests are reported of: the one that all image outputs write, where they agree.
func (w *writer) shape(img v1.Image, outputs []output) (v1.Image, error) {
	for _, out := range outputs {
		if out.kind == "registry" || out.kind == "oci" || out.kind == "name" {
			return w.shaped(img, out)
		}
	}
	return w.shaped(img, output{})
}

// finish reports what was built, and writes the files that scripts ask for.
func (w *writer) finish(ctx context.Context, o *buildOptions, img v1.Image) error {
	if img == nil {
		if o.metadataFile != "" {
			return writeSmall(ctx, "--metadata-file", o.metadataFile, "{}\n")
		}
		return nil
	}
	id, err := img.ConfigName()
	if err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	w.show.handle(build.Event{Type: build.Finished, Result: map[string]any{"id": id.String(), "digest": digest.String(), "names": w.names}})
	if err := errors.Join(writeSmall(ctx, "--iidfile", o.iidfile, id.String()), writeSmall(ctx, "--digest-file", o.digestFile, digest.String())); err != nil {
		return err
	}
	if o.quiet {
		fmt.Fprintln(w.app.stdout, id)
	}
	return w.metadata(ctx, o.metadataFile, img, digest, id)
}

// metadata writes the file that docker buildx users read digests from.
func (w *writer) metadata(ctx context.Context, path string, img v1.Image, digest, id v1.Hash) error {
	if path == "" {
		return nil
	}
	mediaType, err := img.MediaType()
	if err != nil {
		return err
	}
	size, err := img.Size()
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	m := map[string]any{
		"containerimage.digest":        digest,
		"containerimage.config.digest": id,
		"containerimage.descriptor": v1.Descriptor{MediaType: mediaType, Digest: digest, Size: size, Annotations: map[string]string{
			"config.digest": id.String(), "org.opencontainers.image.created": config.Created.UTC().Format(time.RFC3339)}},
	}
	if len(w.names) > 0 {
		m["image.name"] = strings.Join(w.names, ",")
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeSmall(ctx, "--metadata-file", path, string(text)+"\n")
}

// writeSmall writes the file that a flag names, if it does.
func writeSmall(ctx context.Context, flag, path, text string) error {
	if path == "" {
		return nil
	}
	if err := outfile.WriteText(ctx, path, text); err != nil {
		return fmt.Errorf("writing %s: %w", flag, err)
	}
	return nil
}
