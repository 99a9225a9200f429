// This file owns gbuild push and gbuild save, by which an image of the store goes elsewhere.

package main

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/bases"
	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/output"
	"github.com/gbuild/gbuild/internal/progress"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/layers"
)

// newPushCommand pushes under the image's own name, or under those that follow it.
func newPushCommand(a *cli.App) *cobra.Command {
	var quiet bool
	c := &cobra.Command{
		Use: "push IMAGE [DESTINATION...]", Short: "Push a local image to a registry", Args: cobra.MinimumNArgs(1),
		Example: "  gbuild push registry.example/me/app:v1\n  gbuild push my-agent registry.example/me/my-agent:v1",
		RunE: func(c *cobra.Command, args []string) error {
			to := args[1:]
			if len(to) == 0 {
				to = args
			}
			// -q silences the display only; an error is still printed, and the exit code tells.
			mode := progress.Auto
			if quiet {
				mode = progress.Quiet
			}
			return a.InStore(c.Context(), func(ctx context.Context, store *layers.Store) error {
				img, err := bases.Local(store, args[0])
				if err != nil {
					return err
				}
				w, done := imageWriter(a, store, mode)
				defer done()
				w.Names = to
				return w.WriteTo(ctx, &build.Result{Image: img}, output.Push())
			})
		},
	}
	a.Registries.AddInsecure(c.Flags())
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print nothing but errors")
	return c
}

// newSaveCommand writes one image, which may have several names there.
func newSaveCommand(a *cli.App) *cobra.Command {
	var dest, format string
	c := &cobra.Command{
		Use: "save IMAGE [IMAGE...]", Short: "Write a local image to a tarball or an OCI layout", Args: cobra.MinimumNArgs(1),
		Example: "  gbuild save my-agent -o my-agent.tar && docker load -i my-agent.tar\n  gbuild save my-agent --format oci -o my-agent.oci.tar",
		RunE: func(c *cobra.Command, args []string) error {
			// The archive itself may go to standard output. A display beside it would only be in the way of who reads both.
			mode := progress.Auto
			if dest == "-" {
				mode = progress.Quiet
			}
			return a.InStore(c.Context(), func(ctx context.Context, store *layers.Store) error {
				img, names, err := sameImage(store, args)
				if err != nil {
					return err
				}
				// What is wrong here is wrong with the flags, hence the usage error.
				out, err := output.Archive(format, dest)
				if err != nil {
					return cli.Usage(err)
				}
				w, done := imageWriter(a, store, mode)
				defer done()
				w.Names = names
				return w.WriteTo(ctx, &build.Result{Image: img}, out)
			})
		},
	}
	c.Flags().StringVarP(&dest, "output", "o", "-", "file to write (default: standard output)")
	c.Flags().StringVar(&format, "format", "docker", "docker (docker load reads it), oci, or oci-dir")
	a.Registries.AddInsecure(c.Flags())
	return c
}

// imageWriter writes images of the store, and shows that as work until done is called.
func imageWriter(a *cli.App, store *layers.Store, mode progress.Mode) (w *output.Writer, done func()) {
	show := cli.NewDisplay(a, mode)
	return &output.Writer{Store: store, Options: a.Registries.Options(), Display: show, Stdout: a.ArchiveOutput}, show.Close
}

// sameImage finds the one image that all names are of, and returns its full names.
func sameImage(store *layers.Store, names []string) (img v1.Image, full []string, err error) {
	for _, n := range names {
		same, err := bases.Local(store, n)
		if err != nil {
			return nil, nil, err
		}
		if img == nil {
			img = same
		}
		if err := refuseOther(img, same, n); err != nil {
			return nil, nil, err
		}
		ref, err := image.ParseName(n)
		if err != nil {
			return nil, nil, err
		}
		full = append(full, ref.String())
	}
	return img, full, nil
}

// refuseOther refuses a name that is of another image than the first one.
func refuseOther(a, b v1.Image, name string) error {
	x, err := a.Digest()
	if err != nil {
		return err
	}
	// Names are compared by what they lead to: two names of one manifest are one image.
	if y, err := b.Digest(); err != nil || x != y {
		return cli.Usagef("%s is another image: save writes one image under several names", name)
	}
	return nil
}
