// This file writes an image to a registry: it decides which blobs have to be sent, and puts the manifest when they are there.

package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"github.com/gbuild/gbuild/pkg/image/wire"
)

// pushImage writes an image to a registry: blobs side by side, each as soon as it is ready, then the manifest.
func pushImage(ctx context.Context, r Ref, img v1.Image, o WriteOptions) (v1.Hash, error) {
	if r.Digest != "" && r.Tag != "" {
		return v1.Hash{}, badRef(r.String(), "an image is written to a tag or to a digest, not to both")
	}
	layers, err := img.Layers()
	if err != nil {
		return v1.Hash{}, fmt.Errorf("listing layers: %w", err)
	}
	want, err := img.Digest()
	if err != nil {
		return v1.Hash{}, fmt.Errorf("making manifest: %w", err)
	}
	now, asked := o.Ahead.standing(r.identifier())
	if asked && now == want {
		return want, nil
	}
	c, err := newClient(ctx, login{r, o.Options, transport.PushScope, sources(layers, r)})
	if err == nil && !asked {
		now, err = c.standing(ctx, r.identifier())
	}
	if err != nil || now == want {
		return want, err
	}
	if o.Ahead != nil { // It has counted so far.
		c.meter = o.Ahead.meter
		c.meter.tell(o.Report)
		defer c.meter.tell(nil)
	}
	return push{to: c, img: img, layers: layers, options: o, now: now}.run(ctx)
}

// sources are the repositories that layers can be mounted from.
func sources(layers []v1.Layer, r Ref) (all []string) {
	for _, l := range layers {
		if from := mountable(l, r); from != "" && !slices.Contains(all, from) {
			all = append(all, from)
		}
	}
	return all
}

// mountable is the repository on r's registry that has the layer already, or empty.
func mountable(l v1.Layer, r Ref) string {
	var source string
	switch l := l.(type) {
	case interface{ Source() string }:
		source = l.Source()
	case *remote.MountableLayer:
		source = l.Reference.Context().Name()
	}
	from, ok := strings.CutPrefix(source, r.registryHost()+"/")
	if !ok || from == r.Repository {
		return ""
	}
	return from
}

// push is one image on its way to a repository.
type push struct {
	to      *client
	img     v1.Image
	layers  []v1.Layer
	options WriteOptions
	now     v1.Hash // The reference stood for this before; zero is nothing, or not known.
}

// run sends what the repository lacks of the image, and then its manifest.
func (p push) run(ctx context.Context) (v1.Hash, error) {
	if err := p.blobs(ctx, true); err != nil {
		return v1.Hash{}, err
	}
	h, err := p.manifest(ctx)
	if !lacksBlobs(err) {
		return h, err
	}
	// The registry said that it has a blob, or mounted it, and now it has not: send all of them.
	if err := p.blobs(ctx, false); err != nil {
		return v1.Hash{}, err
	}
	return p.manifest(ctx)
}

// blobs uploads config and layers. If trust is set, those that are known to be there are not sent, nor what the registry says
// it has. The config leaves beside the last of what was sent ahead.
func (p push) blobs(ctx context.Context, trust bool) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(blobsAtATime)
	g.Go(func() error { return p.config(gctx, trust) })
	var known, seen = map[v1.Hash]bool{}, map[v1.Hash]bool{}
	if trust {
		known = p.known()
	}
	for _, l := range p.layers {
		h, err := l.Digest()
		if err != nil {
			return errors.Join(fmt.Errorf("making layer: %w", err), g.Wait())
		}
		if !seen[h] && !known[h] {
			seen[h] = true
			g.Go(func() error { return p.layer(gctx, l, trust) })
		}
	}
	return g.Wait()
}

// known returns what the repository has as far as this machine knows: what was sent ahead, whose end it waits for, and all
// that the manifest with the digest now refers to, which is in it.
func (p push) known() map[v1.Hash]bool {
	all := p.options.Ahead.taken()
	if p.now == (v1.Hash{}) || p.options.Manifest == nil {
		return all
	}
	m, err := v1.ParseManifest(bytes.NewReader(p.options.Manifest(p.now)))
	if err != nil {
		return all
	}
	for _, l := range m.Layers {
		all[l.Digest] = len(l.URLs) == 0 // A layer that has URLs may never have been here.
	}
	return all
}

// config uploads the config. When layers were sent ahead, the image was made just now, and so was its config.
func (p push) config(ctx context.Context, trust bool) error {
	raw, err := p.img.RawConfigFile()
	if err != nil {
		return fmt.Errorf("making config: %w", err)
	}
	h, size := digestOf(raw)
	ahead := p.options.Ahead
	if trust && ahead.has(h) {
		return nil
	}
	err = upload{to: p.to, digest: h, size: size, open: inMemory(raw), ask: trust, unseen: ahead != nil}.run(ctx)
	if err == nil && ahead != nil {
		ahead.there.Store(h, true)
	}
	return err
}

// layer uploads a layer, unless it is one that must not be distributed.
func (p push) layer(ctx context.Context, l v1.Layer, trust bool) error {
	d, err := partial.Descriptor(l)
	if err != nil {
		return fmt.Errorf("making layer: %w", err)
	}
	if !d.MediaType.IsDistributable() {
		return nil
	}
	u := upload{to: p.to, digest: d.Digest, size: d.Size, open: l.Compressed, ask: trust}
	if trust {
		u.from = mountable(l, p.to.ref)
	}
	return u.run(ctx)
}

// manifest puts the manifest under the reference's tag or digest, and makes sure that the registry has these bytes.
func (p push) manifest(ctx context.Context) (v1.Hash, error) {
	m, err := manifestOf(p.img)
	if err == nil {
		err = p.to.ref.check(m.desc.Digest)
	}
	if err != nil {
		return v1.Hash{}, err
	}
	return m.desc.Digest, p.put(ctx, m)
}

// put writes a manifest. A registry that does not say which digest it stored is asked for it.
func (p push) put(ctx context.Context, m rawManifest) error {
	header := http.Header{"Content-Type": {string(m.desc.MediaType)}}
	to := p.to.url("manifests", p.to.ref.identifier())
	resp, err := p.to.do(ctx, request{http.MethodPut, to, header, m.raw}, accepted...)
	if err != nil {
		return err
	}
	resp.Body.Close()
	stored := resp.Header.Get("Docker-Content-Digest")
	want := m.desc.Digest.String()
	if stored == "" {
		got, err := p.to.digest(ctx, want)
		if wire.StatusOf(err) != 0 {
			return nil // It took the manifest, and does not let us see it.
		}
		if err != nil {
			return err
		}
		stored = got.String()
	}
	if stored != want {
		return &DigestError{p.to.ref.String() + ": manifest in the registry", want, stored}
	}
	return nil
}

// lacksBlobs says that a manifest was refused because a blob of it is not there, as far as the registry says why.
func lacksBlobs(err error) bool {
	var status *transport.Error
	if !errors.As(err, &status) {
		return false
	}
	for _, d := range status.Errors {
		switch d.Code {
		case transport.ManifestBlobUnknownErrorCode, transport.BlobUnknownErrorCode, transport.ManifestInvalidErrorCode:
			return true // Some registries say the last one of a layer that they lack.
		}
	}
	switch status.StatusCode {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity:
		return len(status.Errors) == 0
	}
	return false
}
