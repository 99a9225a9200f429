// This file owns type=registry: pushing, which begins while the image is still built.

package output

import (
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/image"
)

// registry pushes the image under each name that the output or the build has.
var registry = kind{name: "registry", image: true, named: true, reported: true,
	options: []string{"name", "push", "push-by-digest", "registry.insecure", "name-canonical", "unpack", "store", "dangling-name-prefix"},
	set:     setRegistry, prepare: prepareRegistry, write: writeRegistry}

// Push is the output of --push and of gbuild push: the registries that the names of the image say.
func Push() *Output { return &Output{kind: &registry} }

// setRegistry reads the options of a push. The others of the row are words of docker buildx for what happens anyway.
func setRegistry(out *Output, from fields) error {
	if err := from.boolean("registry.insecure", &out.insecure); err != nil {
		return err
	}
	return from.boolean("push-by-digest", &out.byDigest)
}

// writeRegistry pushes to one name after the other. Layers that left ahead of the image are not sent again.
func writeRegistry(ctx context.Context, w *Writer, out *Output, r build.Result) error {
	for _, n := range out.names(w.Names) {
		if out.byDigest {
			h, err := r.Image.Digest()
			if err != nil {
				return err
			}
			n += "@" + h.String()
		}
		ref, err := image.ParseName(n)
		if err != nil {
			return err
		}
		o := w.pushOptions(out)
		o.Ahead, o.Manifest = w.ahead[ref.Name()], w.manifest
		err = w.transfer(ctx, transfer{"pushing " + ref.Familiar(), ref, o}, r.Image)
		if err != nil && !(w.IgnoreImmutable && image.IsImmutable(err)) {
			return err
		}
	}
	return nil
}

// pushOptions are those of the build, less strict where the output says so.
func (w *Writer) pushOptions(out *Output) image.WriteOptions {
	o := image.WriteOptions{Options: w.Options}
	o.Insecure = o.Insecure || out.insecure
	return o
}

// manifest is the one with a digest if the store has it, else nil.
func (w *Writer) manifest(h v1.Hash) []byte {
	r, size, err := w.Store.Blob(h)
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

// prepareRegistry makes the store's new layers leave for the registries that the output names.
func prepareRegistry(ctx context.Context, w *Writer, out *Output) error {
	o := w.pushOptions(out)
	o.Report = nil
	for _, n := range out.names(w.Names) {
		ref, err := image.ParseName(n)
		if err != nil {
			return err
		}
		to := w.ahead[ref.Name()]
		if to == nil {
			if to, err = image.NewAhead(ctx, ref, o.Options); err != nil {
				return err
			}
			w.ahead[ref.Name()] = to
		}
		if ref.Digest == "" && !out.byDigest {
			to.Ask(ref.Tag)
		}
	}
	w.Store.Sending = w.ahead.send
	return nil
}
