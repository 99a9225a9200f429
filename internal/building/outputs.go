// This file owns the options about what a build makes: names, outputs, layers, and what is said of them.

package building

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

// Outputs are what is made, as the words of -o and its relatives say it. load is docker's word for what happens anyway, so nobody reads it.
type Outputs struct {
	// Bare tags belong to it.
	Name string
	// Names, or bare tags.
	Tags []string
	// These are for every output.
	Annotations []string
	Outputs     []string
	Push, load  bool
	// The repositories of these names are asked before the first step whether they take what is pushed.
	MayPush []string
	// A tag that its registry calls immutable stays what it was, and that is no error.
	IgnoreImmutable bool

	// How the files are divided into layers.
	Layers      string
	Compression output.Compression

	// The rest is about what is said of the build.
	Receipts output.Receipts
	Progress string
	Quiet    bool

	// IMAGE_TAG, which counts where there is no tag.
	tagOfEnviron string
}

// Flags takes name and tag from the environment, too, as pipelines set them.
func (f *Outputs) Flags(flags *pflag.FlagSet, environ cli.Environment) {
	f.tagOfEnviron = environ.Get("IMAGE_TAG")
	flags.VarP((*cli.List)(&f.Tags), "tag", "t", "name of the image, NAME[:TAG]; a bare tag belongs to --name (repeatable)")
	flags.StringVar(&f.Name, "name", environ.Get("IMAGE_NAME"), "name that bare tags belong to (IMAGE_NAME)")
	flags.BoolVar(&f.Push, "push", false, "push the image to the registries that its names say")
	flags.BoolVar(&f.load, "load", false, "keep the image under its names here, as is done anyway")
	flags.VarP((*cli.List)(&f.Outputs), "output", "o", "type=oci|docker|tar|local|image|registry,dest=PATH (repeatable; DIR alone is local, - is tar)")
	flags.Var((*cli.List)(&f.Annotations), "annotation", "NAME=VALUE for the image's manifest (repeatable)")
	flags.StringVar(&f.Layers, "layers", f.Layers, "auto (large Python distributions get layers of their own), per-step or squash (one over the base)")
	flags.StringVar(&f.Compression.Algorithm, "compression", "", "of layers: gzip, zstd, estargz or none (default gzip)")
	flags.StringVar(&f.Compression.Level, "compression-level", "", "1 to 9 for gzip (default 5), 1 to 22 for zstd (default 3)")
	flags.BoolVar(&f.Compression.Force, "force-compression", false, "compress the base's layers so, too; they are sent as they are otherwise")
	flags.StringVar(&f.Receipts.ID, "iidfile", "", "file to write the image id to")
	flags.StringVar(&f.Receipts.Metadata, "metadata-file", "", "file to write what was built to, as JSON")
	flags.StringVar(&f.Receipts.Digest, "digest-file", "", "file to write the manifest's digest to")
	flags.BoolVarP(&f.Quiet, "quiet", "q", false, "print the image id only")
	flags.StringVar(&f.Progress, "progress", f.Progress, "auto, tty, plain, json or quiet")
}

// outputs are the parsed options.
type outputs struct {
	// An empty list keeps the image in the store, under its names.
	list []*output.Output
	// Full names of the image, with host and tag.
	names []string
	// Names that are asked before the first step.
	mustTake    []string
	keepsTags   bool // one that is immutable is no error
	annotations map[string]string
	compression codec.Compression
	layering    build.Layering
	receipts    output.Receipts
	// With -q it is quiet, whatever --progress says.
	progress progress.Mode
	quiet    bool
}

// parse reads all of them; the order is that in which errors are found.
func (f *Outputs) parse() (o outputs, err error) {
	o.receipts, o.quiet, o.mustTake, o.keepsTags = f.Receipts, f.Quiet, f.MayPush, f.IgnoreImmutable
	if o.names, err = f.imageNames(); err != nil {
		return o, err
	}
	if o.list, err = f.parseOutputs(o.names); err != nil {
		return o, cli.Usage(err)
	}
	if o.compression, err = output.CompressionOf(f.Compression, o.list); err != nil {
		return o, cli.Usage(err)
	}
	if o.annotations, err = output.ParseAnnotations(f.Annotations); err != nil {
		return o, cli.Usage(err)
	}
	if o.layering, err = build.ParseLayering(f.Layers); err != nil {
		return o, cli.Usagef("--layers: %w", err)
	}
	if o.progress, err = progress.ParseMode(f.Progress); err != nil {
		return o, cli.Usage(err)
	}
	// -q wins over --progress: nothing may be in front of the id.
	if f.Quiet {
		o.progress = progress.Quiet
	}
	return o, nil
}

// imageNames are the full names of the image: every -t, and --name with the bare tags or IMAGE_TAG.
func (f *Outputs) imageNames() (names []string, err error) {
	tags := f.Tags
	if len(tags) == 0 && f.tagOfEnviron != "" {
		if f.Name == "" {
			return nil, cli.Usagef("IMAGE_TAG is set, but neither IMAGE_NAME nor --name")
		}
		tags = []string{f.tagOfEnviron}
	}
	if f.Name != "" && len(tags) == 0 {
		tags = []string{"latest"}
	}
	for _, t := range tags {
		// A tag with a colon or a slash is a whole name already, and --name does not touch it.
		if f.Name != "" && !strings.ContainsAny(t, ":/") {
			t = f.Name + ":" + t
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
func (f *Outputs) parseOutputs(names []string) (list []*output.Output, err error) {
	for _, s := range f.Outputs {
		out, err := parseOutput(s)
		if err != nil {
			return nil, err
		}
		list = append(list, out)
	}
	if f.Push {
		list = append(list, output.Push())
	}
	if output.NoImage(list) && f.Receipts.ID != "" {
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
	return &output.Writer{Store: store, Options: a.Registries.Options(), Display: show, Stdout: a.ArchiveOutput, Names: o.names, Annotations: o.annotations,
		IgnoreImmutable: o.keepsTags}
}

// mayPush asks the registries that are to be asked whether they take what will be pushed, each repository once.
func (o outputs) mayPush(ctx context.Context, a *cli.App) error {
	asked := map[string]bool{}
	for _, n := range o.mustTake {
		ref, err := image.ParseName(n)
		if err != nil {
			return cli.Usage(err)
		}
		if asked[ref.Name()] {
			continue
		}
		asked[ref.Name()] = true
		if err := image.MayPush(ctx, ref, a.Registries.Options()); err != nil {
			return fmt.Errorf("the push would fail: %w", err)
		}
	}
	return nil
}

// report says what was built: in the display, in the files that scripts ask for, and with -q on standard output.
func (o outputs) report(ctx context.Context, a *cli.App, img v1.Image, show func(build.Event)) (r *Result, err error) {
	r = &Result{Names: o.names}
	if img == nil {
		// Without an image there is no id and no digest. The metadata file is written all the same, since scripts wait for it.
		return r, o.receipts.Write(ctx, nil, nil)
	}
	if r.ID, err = img.ConfigName(); err != nil {
		return nil, err
	}
	if r.Digest, err = img.Digest(); err != nil {
		return nil, err
	}
	// The display is told first: a file that a script waits for means that all has been said.
	show(build.Event{Type: build.Finished, Result: map[string]any{"id": r.ID.String(), "digest": r.Digest.String(), "names": r.Names}})
	if err := o.receipts.Write(ctx, img, o.names); err != nil {
		return nil, err
	}
	if o.quiet {
		fmt.Fprintln(a.Stdout, r.ID)
	}
	return r, nil
}
