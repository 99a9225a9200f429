package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/outfile"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/image"
)

type imageOptions = image.Options

// csvFields reads k=v,k=v as buildx does: quotes around a field, a bare word is k=true.
func csvFields(s string) (map[string]string, error) {
	r := csv.NewReader(strings.NewReader(s))
	list, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%q: %w", s, err)
	}
	fields := map[string]string{}
	for _, f := range list {
		k, v, ok := strings.Cut(f, "=")
		if !ok {
			v = "true"
		}
		fields[strings.ToLower(strings.TrimSpace(k))] = v
	}
	return fields, nil
}

// output writes one -o.
func (w *writer) output(ctx context.Context, out output, r *build.Result) error {
	switch out.kind {
	case "tar", "local":
		return w.files(ctx, out, r)
	case "cacheonly":
		return nil
	}
	img, err := w.shaped(r.Image, out)
	if err != nil {
		return err
	}
	switch out.kind {
	case "registry":
		return w.push(ctx, out, img)
	case "oci", "docker":
		return w.archive(ctx, out, img)
	}
	for _, name := range out.names(nil) { // type=image without push=true
		ref, err := image.ParseName(name)
		if err != nil {
			return err
		}
		if err := w.store.Tag(ref.String(), img); err != nil {
			return err
		}
	}
	return nil
}

// shaped is the image as the output wants its manifest.
func (w *writer) shaped(img v1.Image, out output) (v1.Image, error) {
	annotations := maps.Clone(w.annotations)
	maps.Copy(annotations, out.annotations)
	return reshape(img, annotations, out.docker)
}

// names are those that the output gives, else the others.
func (out output) names(others []string) []string {
	if out.name == "" {
		return others
	}
	return strings.Split(out.name, ",")
}

func (w *writer) push(ctx context.Context, out output, img v1.Image) error {
	o := w.pushOptions(out)
	for _, n := range out.names(w.names) {
		if out.byDigest {
			h, err := img.Digest()
			if err != nil {
				return err
			}
			n += "@" + h.String()
		}
		ref, err := image.ParseName(n)
		if err != nil {
			return err
		}
		if err := w.transfer(ctx, "pushing "+ref.Familiar(), ref, img, o); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) pushOptions(out output) image.WriteOptions {
	o := image.WriteOptions{Options: w.options}
	o.Insecure = o.Insecure || out.insecure
	return o
}

// archive writes type=oci and type=docker: a tar, or with tar=false a layout directory.
func (w *writer) archive(ctx context.Context, out output, img v1.Image) error {
	kind := map[string]string{"oci": "oci-archive:", "docker": "docker-archive:"}[out.kind]
	if out.kind == "oci" && out.fields["tar"] == "false" {
		kind = "oci:"
	}
	dest, o := out.dest, image.WriteOptions{Options: w.options, Tags: w.names, KeepTypes: out.docker}
	if out.name != "" {
		o.Tags = nil
		for _, n := range out.names(nil) {
			ref, err := image.ParseName(n)
			if err != nil {
				return err
			}
			o.Tags = append(o.Tags, ref.String())
		}
	}
	if dest == "-" {
		if err := w.app.refuseTerminal(); err != nil {
			return err
		}
		o.Output, dest = w.app.rawOut, image.Stdout
	}
	ref, err := image.ParseRef(kind + dest)
	if err != nil {
		return err
	}
	return w.transfer(ctx, "writing "+out.kind+" image to "+out.dest, ref, img, o)
}

// transfer writes an image and reports it as one line of work.
func (w *writer) transfer(ctx context.Context, title string, ref image.Ref, img v1.Image, o image.WriteOptions) error {
	done := w.show.begin(title)
	o.Report = func(current, total int64) { w.show.progress(current, total) }
	if ref.Kind == image.KindRegistry {
		o.Ahead, o.Manifest = w.ahead[ref.Name()], w.manifest
	}
	_, err := image.Write(ctx, ref, img, o)
	done(err)
	return err
}

// manifest is the one with a digest if the store has it, else nil.
func (w *writer) manifest(h v1.Hash) []byte {
	r, size, err := w.store.Blob(h)
	if err != nil {
		return nil
	}
	defer r.Close()
	if size > image.MaxManifest { // it may be a layer that a registry calls a manifest
		return nil
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil
	}
	return data
}

func (a *app) refuseTerminal() error {
	if isTerminal(a.rawOut) {
		return usagef("not writing an archive to a terminal: redirect it, or give dest=FILE")
	}
	return nil
}

// files writes type=tar and type=local: the files of the result, without an image.
func (w *writer) files(ctx context.Context, out output, r *build.Result) (err error) {
	if err := w.store.Expand(ctx, r.Key); err != nil {
		return err
	}
	view, err := w.store.View(r.Key)
	if err != nil {
		return err
	}
	done := w.show.begin("writing files to " + out.dest)
	defer func() { done(err) }()
	o := files.ExportOptions{Delete: out.delete}
	if out.split {
		o.Directory = strings.ReplaceAll(w.platform.String(), "/", "_")
	}
	if out.kind == "local" {
		return files.ExportLocal(ctx, view, out.dest, o)
	}
	if out.dest == "-" {
		if err := w.app.refuseTerminal(); err != nil {
			return err
		}
		return outfile.Await(ctx, func() error { return files.ExportTar(ctx, view, w.app.rawOut, o) })
	}
	return outfile.Write(ctx, out.dest, func(f io.Writer) error { return files.ExportTar(ctx, view, f, o) })
}
