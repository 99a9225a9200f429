package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/layers"
)

// fetcher finds base images: a local name first, then the place that the reference names. What a registry said is kept,
// so that a later build asks it one question, whether the tag still means the same; and nothing for a digest.
type fetcher struct {
	app     *app
	store   *layers.Store // nil: nothing is kept
	options image.Options
	pull    bool
	ttl     time.Duration // for which a registry is not asked again what a tag means
	notice  func(string)
}

func (f *fetcher) fetch(ctx context.Context, name string, p v1.Platform) (v1.Image, error) {
	ref, err := image.ParseRef(name)
	if err != nil {
		return nil, err
	}
	o := f.options
	if p.OS != "" || p.Architecture != "" {
		o.Platform = &p
	}
	if f.store == nil || ref.Kind != image.KindRegistry {
		return image.Open(ctx, ref, o)
	}
	if !f.pull {
		if img, err := f.store.Image(ref.String()); err == nil {
			return img, checkPlatform(img, name, p)
		}
	}
	return f.fromRegistry(ctx, ref, o, p)
}

func (f *fetcher) fromRegistry(ctx context.Context, ref image.Ref, o image.Options, p v1.Platform) (v1.Image, error) {
	digest, err := f.digest(ctx, ref, o)
	if err != nil {
		return f.offline(ref, p, err)
	}
	kept := keptName(ref.Name()+"@"+digest.String(), p)
	if img, err := f.store.Base(kept); err == nil {
		return img, nil
	}
	pinned := ref
	pinned.Digest = digest.String()
	img, err := image.Open(ctx, pinned, o)
	if err != nil {
		return nil, err
	}
	return img, errors.Join(f.store.KeepBase(kept, img), f.store.KeepBase(keptName(ref.String(), p), img))
}

// recordAsked is the kind of the records that keep when a registry was asked what a tag means, and what it said.
const recordAsked = "asked"

// digest says what a tag means, by its registry's last answer if that is young enough.
func (f *fetcher) digest(ctx context.Context, ref image.Ref, o image.Options) (v1.Hash, error) {
	if f.ttl <= 0 || ref.Digest != "" {
		return image.Digest(ctx, ref, o)
	}
	key := layers.Key(sha256.Sum256([]byte(ref.String())))
	if v, ok := f.store.Recall(recordAsked, key); ok && !f.pull {
		var unix int64
		var digest string
		fmt.Sscan(string(v), &unix, &digest)
		if h, err := v1.NewHash(digest); err == nil && time.Since(time.Unix(unix, 0)).Abs() < f.ttl {
			return h, nil
		}
	}
	h, err := image.Digest(ctx, ref, o)
	if err != nil {
		return h, err
	}
	return h, f.store.Remember(recordAsked, key, fmt.Append(nil, time.Now().Unix(), " ", h))
}

// offline uses what a tag meant last time when its registry cannot be asked, and says so. A registry that does answer, "no such image"
// or "not you", is believed, and what is wrong on this side (a login, a certificate that is not trusted) is an error.
func (f *fetcher) offline(ref image.Ref, p v1.Platform, cause error) (v1.Image, error) {
	if f.pull || !image.IsAbsence(cause) {
		return nil, cause
	}
	img, err := f.store.Base(keptName(ref.String(), p))
	if err != nil {
		return nil, cause
	}
	f.notice(fmt.Sprintf("%s: its registry does not answer (%v); the image that it named last time is used", ref.Familiar(), cause))
	return img, nil
}

func keptName(ref string, p v1.Platform) string { return ref + " " + p.String() }

// checkPlatform refuses a local image of another platform than was asked for.
func checkPlatform(img v1.Image, name string, want v1.Platform) error {
	c, err := img.ConfigFile()
	if err != nil {
		return err
	}
	if want.Architecture != "" && c.Architecture != "" && c.Architecture != want.Architecture {
		return &image.PlatformError{Ref: name, Want: want, Have: []v1.Platform{{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}}}
	}
	return nil
}
