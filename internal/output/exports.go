// This file owns the outputs that are the files of the result, without an image: in a directory, or in a tar.

package output

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/gbuild/gbuild/internal/outfile"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// local writes the files into a directory.
var local = kind{name: "local", options: []string{"dest", "platform-split", "mode", "attestation-prefix"}, files: true, set: setLocal, write: writeLocal}

// tarball writes the files as one tar, with their owners.
var tarball = kind{name: "tar", options: []string{"dest", "platform-split", "attestation-prefix"}, files: true, set: setTar, write: writeTar}

// setLocal reads the options of local, which has more than tarball: only in a directory can there be something else.
func setLocal(out *Output, from fields) error {
	switch mode := from["mode"]; mode {
	case "", "copy":
	case "delete":
		out.delete = true
	default:
		return fmt.Errorf("mode=%s: it is copy or delete", mode)
	}
	if out.dest == "" {
		return errors.New("dest=DIR is missing")
	}
	return setTar(out, from)
}

// setTar reads the options that both kinds have.
func setTar(out *Output, from fields) error {
	if err := from.boolean("platform-split", &out.split); err != nil {
		return err
	}
	if err := out.setDest(); err != nil || !out.delete {
		return err
	}
	return out.spareWork()
}

// setDest makes the place of an output one that holds wherever the process stands.
func (out *Output) setDest() (err error) {
	if out.dest == "" || out.dest == "-" {
		out.dest = "-"
		return nil
	}
	out.dest, err = filepath.Abs(out.dest)
	return err
}

// spareWork refuses to empty a directory that somebody works in: mode=delete with dest=. would remove the sources.
func (out *Output) spareWork() error {
	here, err := filepath.Abs(".")
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(out.dest, here); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("mode=delete would remove the other files of %s, where you are working", out.dest)
	}
	return nil
}

// writeLocal writes into the directory, where all belongs to whoever runs gbuild.
func writeLocal(ctx context.Context, w *Writer, out *Output, r build.Result) (err error) {
	view, done, err := w.beginFiles(ctx, out, r)
	if err != nil {
		return err
	}
	defer func() { done(err) }()
	return files.ExportLocal(ctx, view, out.dest, w.exportOptions(out))
}

// writeTar writes the tar into a file, which appears when it is whole, or to standard output.
func writeTar(ctx context.Context, w *Writer, out *Output, r build.Result) (err error) {
	view, done, err := w.beginFiles(ctx, out, r)
	if err != nil {
		return err
	}
	defer func() { done(err) }()
	write := func(f io.Writer) error { return files.ExportTar(ctx, view, f, w.exportOptions(out)) }
	if out.dest != "-" {
		return outfile.Write(ctx, out.dest, write)
	}
	stdout, err := w.Stdout()
	if err != nil {
		return err
	}
	return outfile.Await(ctx, func() error { return write(stdout) })
}

// beginFiles makes the files of the result readable, and opens the line of work in which they are written.
func (w *Writer) beginFiles(ctx context.Context, out *Output, r build.Result) (*rootfs.View, func(error), error) {
	if r.Sealed != nil {
		return w.beginSealed(ctx, out, r)
	}
	if err := w.Store.Expand(ctx, r.Key); err != nil {
		return nil, nil, err
	}
	view, err := w.Store.View(r.Key)
	if err != nil {
		return nil, nil, err
	}
	return view, w.Display.Begin("writing files to " + out.dest), nil
}

// beginSealed is beginFiles where the files are in layers, which are read in the order in which they are needed.
func (w *Writer) beginSealed(ctx context.Context, out *Output, r build.Result) (*rootfs.View, func(error), error) {
	parcels := w.Store.Parcels(ctx)
	view, err := parcels.View(ctx, r.Sealed)
	if err != nil {
		return nil, nil, errors.Join(err, parcels.Close())
	}
	done := w.Display.Begin("writing files to " + out.dest)
	return view, func(err error) {
		done(errors.Join(err, parcels.Close()))
	}, nil
}

// exportOptions say below which directory the files go, and whether others are removed.
func (w *Writer) exportOptions(out *Output) files.ExportOptions {
	o := files.ExportOptions{Delete: out.delete}
	if out.split {
		o.Directory = strings.ReplaceAll(w.Platform.String(), "/", "_")
	}
	return o
}
