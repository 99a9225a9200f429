// This file owns the flags of gbuild build about what it makes: names, outputs, layers, and what is said of them.

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/output"
	"github.com/gbuild/gbuild/internal/progress"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// outputFlags are what the command line says. load is docker's word for what happens anyway, so nobody reads it.
type outputFlags struct {
	// Bare tags belong to it.
	name string
	// Names, or bare tags.
	tags []string
	// These are for every output.
	annotations []string
	outputs     []string
	push, load  bool

	// How the files are divided into layers.
	layers      string
	compression output.Compression

	// The rest is about what is said of the build.
	receipts output.Receipts
	progress string
	quiet    bool
}

// add takes the name from the environment, too, as pipelines set it.
func (f *outputFlags) add(flags *pflag.FlagSet, environ cli.Environment) {
	flags.VarP((*cli.List)(&f.tags), "tag", "t", "name of the image, NAME[:TAG]; a bare tag belongs to --name (repeatable)")
	flags.StringVar(&f.name, "name", environ.Get("IMAGE_NAME"), "name that bare tags belong to (IMAGE_NAME)")
	flags.BoolVar(&f.push, "push", false, "push the image to the registries that its names say")
	flags.BoolVar(&f.load, "load", false, "keep the image under its names here, as is done anyway")
	flags.VarP((*cli.List)(&f.outputs), "output", "o", "type=oci|docker|tar|local|image|registry,dest=PATH (repeatable; DIR alone is local, - is tar)")
	flags.Var((*cli.List)(&f.annotations), "annotation", "NAME=VALUE for the image's manifest (repeatable)")
	flags.StringVar(&f.layers, "layers", "auto", "auto (large Python distributions get layers of their own), per-step or squash (one over the base)")
	flags.StringVar(&f.compression.Algorithm, "compression", "", "of layers: gzip, zstd, estargz or none (default gzip)")
	flags.StringVar(&f.compression.Level, "compression-level", "", "1 to 9 for gzip (default 5), 1 to 22 for zstd (default 3)")
	flags.BoolVar(&f.compression.Force, "force-compression", false, "compress the base's layers so, too; they are sent as they are otherwise")
	flags.StringVar(&f.receipts.ID, "iidfile", "", "file to write the image id to")
	flags.StringVar(&f.receipts.Metadata, "metadata-file", "", "file to write what was built to, as JSON")
	flags.StringVar(&f.receipts.Digest, "digest-file", "", "file to write the manifest's digest to")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "print the image id only")
	flags.StringVar(&f.progress, "progress", "auto", "auto, tty, plain, json or quiet")
}

// outputs are the parsed flags.
type outputs struct {
	// An empty list keeps the image in the store, under its names.
	list []*output.Output
	// Full names of the image, with host and tag.
	names       []string
	annotations map[string]string
	compression codec.Compression
	layering    build.Layering
	receipts    output.Receipts
	// With -q it is quiet, whatever --progress says.
	progress progress.Mode
	quiet    bool
}

// parse reads all of them; the order is that in which errors are found.
func (f *outputFlags) parse(environ cli.Environment) (o outputs, err error) {
	o.receipts, o.quiet = f.receipts, f.quiet
	if o.names, err = f.imageNames(environ); err != nil {
		return o, err
	}
	if o.list, err = f.parseOutputs(o.names); err != nil {
		return o, cli.Usage(err)
	}
	if o.compression, err = output.CompressionOf(f.compression, o.list); err != nil {
		return o, cli.Usage(err)
	}
	if o.annotations, err = output.ParseAnnotations(f.annotations); err != nil {
		return o, cli.Usage(err)
	}
	if o.layering, err = build.ParseLayering(f.layers); err != nil {
		return o, cli.Usagef("--layers: %w", err)
	}
	if o.progress, err = progress.ParseMode(f.progress); err != nil {
		return o, cli.Usage(err)
	}
	// -q wins over --progress: nothing may be in front of the id.
	if f.quiet {
		o.progress = progress.Quiet
	}
	return o, nil
}

// imageNames are the full names of the image: every -t, and --name with the bare tags or IMAGE_TAG.
func (f *outputFlags) imageNames(environ cli.Environment) (names []string, err error) {
	tags := f.tags
	if tag := environ.Get("IMAGE_TAG"); len(tags) == 0 && tag != "" {
		if f.name == "" {
			return nil, cli.Usagef("IMAGE_TAG is set, but neither IMAGE_NAME nor --name")
		}
		tags = []string{tag}
	}
	if f.name != "" && len(tags) == 0 {
		tags = []string{"latest"}
	}
	for _, t := range tags {
		// A tag with a colon or a slash is a whole name already, and --name does not touch it.
		if f.name != "" && !strings.ContainsAny(t, ":/") {
			t = f.name + ":" + t
		}
		ref, err := image.ParseName(t)
		if err != nil {
			return nil, cli.Usage(err)
		}
		names = append(names, ref.String())
	}
	return names, nil
}

// parseOutputs reads -o and --push, and whether they go together.
func (f *outputFlags) parseOutputs(names []string) (list []*output.Output, err error) {
	for _, s := range f.outputs {
		out, err := parseOutput(s)
		if err != nil {
			return nil, err
		}
		list = append(list, out)
	}
	if f.push {
		list = append(list, output.Push())
	}
	if output.NoImage(list) && f.receipts.ID != "" {
		return nil, errors.New("--iidfile: outputs of type local, tar and cacheonly make no image, so there is no id")
	}
	return list, output.Check(list, names)
}

// parseOutput reads one -o: KEY=VALUE,…, or one of the short forms.
func parseOutput(s string) (*output.Output, error) {
	if s == "-" {
		return output.Parse(map[string]string{"type": "tar", "dest": "-"})
	}
	if !strings.Contains(s, "=") {
		dest, err := filepath.Abs(s)
		if err != nil {
			return nil, err
		}
		return output.Parse(map[string]string{"type": "local", "dest": dest})
	}
	fields, err := cli.Fields(s)
	if err != nil {
		return nil, fmt.Errorf("--output: %w", err)
	}
	return output.Parse(fields)
}

// fill says in the request what must be made.
func (o outputs) fill(req *build.Request) {
	req.NoLayers, req.Files = output.NoImage(o.list), output.NeedFiles(o.list)
	req.Compress, req.Layering = o.compression, o.layering
}

// writer is what writes the outputs of a build.
func (o outputs) writer(a *cli.App, store *layers.Store, show *cli.Display) *output.Writer {
	return &output.Writer{Store: store, Options: a.Registries.Options(), Display: show, Stdout: a.ArchiveOutput, Names: o.names, Annotations: o.annotations}
}

// report says what was built: in the display, in the files that scripts ask for, and with -q on standard output.
func (o outputs) report(ctx context.Context, a *cli.App, img v1.Image, show func(build.Event)) error {
	if img == nil {
		// Without an image there is no id and no digest. The metadata file is written all the same, since scripts wait for it.
		return o.receipts.Write(ctx, nil, nil)
	}
	id, err := img.ConfigName()
	if err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	// The display is told first: a file that a script waits for means that all has been said.
	show(build.Event{Type: build.Finished, Result: map[string]any{"id": id.String(), "digest": digest.String(), "names": o.names}})
	if err := o.receipts.Write(ctx, img, o.names); err != nil {
		return err
	}
	if o.quiet {
		fmt.Fprintln(a.Stdout, id)
	}
	return nil
}
