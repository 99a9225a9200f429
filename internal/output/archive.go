// This file owns the outputs that are a file with an image in it, which another program loads: an OCI archive, or a tar for
// docker load.

package output

import (
	"context"
	"fmt"

	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/image"
)

// oci is an image in the format of the Open Container Initiative: a tar, or with tar=false a directory, to which images can be
// added.
var oci = kind{name: "oci", options: []string{"dest", "tar", "name", "index"}, image: true, reported: true,
	set: func(out *Output, from fields) error {
		out.layout = from["tar"] == "false"
		switch index := from["index"]; {
		case index == "single" && out.layout:
			out.single = true
		case index != "":
			return fmt.Errorf("index=%s: it is single, with tar=false", index)
		}
		return out.setDest()
	},
	write: func(ctx context.Context, w *Writer, out *Output, r build.Result) error {
		if out.layout {
			return w.archive(ctx, out, "oci:", r)
		}
		return w.archive(ctx, out, "oci-archive:", r)
	}}

// docker is a tar that docker load reads. Its manifest is of another kind, which has no digest, so that of the image is not
// reported as it is there.
var docker = kind{name: "docker", options: []string{"dest", "name", "context"}, image: true,
	set: func(out *Output, _ fields) error { return out.setDest() },
	write: func(ctx context.Context, w *Writer, out *Output, r build.Result) error {
		return w.archive(ctx, out, "docker-archive:", r)
	}}

// Archive is the output of gbuild save: a file in a format, which is docker, oci, or oci-dir for a directory.
func Archive(format, dest string) (*Output, error) {
	switch format {
	case "docker":
		return &Output{kind: &docker, dest: dest}, nil
	case "oci", "oci-dir":
		return &Output{kind: &oci, dest: dest, layout: format == "oci-dir"}, nil
	}
	return nil, fmt.Errorf("--format %s: it is docker, oci or oci-dir", format)
}

// archive writes an image to the place that a prefix of image.ParseRef and the output's path name.
func (w *Writer) archive(ctx context.Context, out *Output, prefix string, r build.Result) error {
	dest, o := out.dest, image.WriteOptions{Options: w.Options, Tags: w.Names, KeepTypes: out.dockerTypes}
	if out.single {
		o.Tags, o.Alone = nil, true
	}
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
		stdout, err := w.Stdout()
		if err != nil {
			return err
		}
		o.Output, dest = stdout, image.Stdout
	}
	ref, err := image.ParseRef(prefix + dest)
	if err != nil {
		return err
	}
	return w.transfer(ctx, transfer{"writing " + out.kind.name + " image to " + out.dest, ref, o}, r.Image)
}
