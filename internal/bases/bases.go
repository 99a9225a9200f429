// Package bases finds the images that a build or a container begins with: by a local name, or in the place that the
// reference names. What a registry said is kept in the store, so that a later build asks it one question, whether the tag
// still means the same; and nothing for a digest.
package bases

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/layers"
)

// Finder finds images.
type Finder struct {
	Store   *layers.Store // Without one, nothing is kept and no local name is known.
	Options image.Options
	Pull    bool          // The registry is asked even where a local image has the name, or an answer is kept.
	TTL     time.Duration // For so long a registry is not asked again what a tag means.
	Notice  func(string)
}

// Find finds the image of a name for a platform; of the zero platform, for this machine's.
func (f *Finder) Find(ctx context.Context, name string, p v1.Platform) (v1.Image, error) {
	ref, err := image.ParseRef(name)
	if err != nil {
		return nil, err
	}
	o := f.Options
	if p.OS != "" || p.Architecture != "" {
		o.Platform = &p
	}
	if f.Store == nil || ref.Kind != image.KindRegistry {
		return image.Open(ctx, ref, o)
	}
	if !f.Pull {
		if img, err := f.Store.Image(ref.String()); err == nil {
			return img, CheckPlatform(img, name, p)
		}
	}
	return f.fromRegistry(ctx, ref, o, p)
}

// fromRegistry asks the registry what the tag means, and takes what is kept of that image, if it is. Manifest and config are
// kept; layers stay where they are until a file of theirs is read.
func (f *Finder) fromRegistry(ctx context.Context, ref image.Ref, o image.Options, p v1.Platform) (v1.Image, error) {
	digest, err := f.digest(ctx, ref, o)
	if err != nil {
		return f.offline(ref, p, err)
	}
	kept := keptName(ref.Name()+"@"+digest.String(), p)
	if img, err := f.Store.Base(kept); err == nil {
		return img, nil
	}
	pinned := ref
	pinned.Digest = digest.String()
	img, err := image.Open(ctx, pinned, o)
	if err != nil {
		return nil, err
	}
	return img, errors.Join(f.Store.KeepBase(kept, img), f.Store.KeepBase(keptName(ref.String(), p), img))
}

// recordAsked is the kind of the records that keep when a registry was asked what a tag means, and what it said.
const recordAsked = "asked"

// digest says what a tag means, by its registry's last answer if that is young enough.
func (f *Finder) digest(ctx context.Context, ref image.Ref, o image.Options) (v1.Hash, error) {
	if f.TTL <= 0 || ref.Digest != "" {
		return image.Digest(ctx, ref, o)
	}
	key := layers.Key(sha256.Sum256([]byte(ref.String())))
	if v, ok := f.Store.Recall(recordAsked, key); ok && !f.Pull {
		var unix int64
		var digest string
		fmt.Sscan(string(v), &unix, &digest)
		if h, err := v1.NewHash(digest); err == nil && time.Since(time.Unix(unix, 0)).Abs() < f.TTL {
			return h, nil
		}
	}
	h, err := image.Digest(ctx, ref, o)
	if err != nil {
		return h, err
	}
	return h, f.Store.Remember(recordAsked, key, fmt.Append(nil, time.Now().Unix(), " ", h))
}

// offline uses what a tag meant last time when its registry cannot be asked, and says so. A registry that does answer,
// "no such image" or "not you", is believed, and what is wrong on this side (a login, a certificate that is not trusted)
// is an error.
func (f *Finder) offline(ref image.Ref, p v1.Platform, cause error) (v1.Image, error) {
	if f.Pull || !image.IsAbsence(cause) {
		return nil, cause
	}
	img, err := f.Store.Base(keptName(ref.String(), p))
	if err != nil {
		return nil, cause
	}
	f.Notice(fmt.Sprintf("%s: its registry does not answer (%v); the image that it named last time is used", ref.Familiar(), cause))
	return img, nil
}

// keptName is the name under which the store keeps an image of a registry: there is one for each platform.
func keptName(ref string, p v1.Platform) string { return ref + " " + p.String() }

// CheckPlatform refuses a local image of another platform than was asked for.
func CheckPlatform(img v1.Image, name string, want v1.Platform) error {
	c, err := img.ConfigFile()
	if err != nil {
		return err
	}
	if want.Architecture != "" && c.Architecture != "" && c.Architecture != want.Architecture {
		return &image.PlatformError{Ref: name, Want: want, Have: []v1.Platform{{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}}}
	}
	return nil
}

// Local finds an image of the store by name, or by the start of its id or digest.
func Local(store *layers.Store, name string) (img v1.Image, err error) {
	if ref, bad := image.ParseName(name); bad == nil {
		if img, err = store.Image(ref.String()); err == nil {
			return img, nil
		}
	}
	if img, idErr := store.Image(name); idErr == nil {
		return img, nil
	}
	if err == nil || errors.Is(err, os.ErrNotExist) {
		err = hint.Errorf("gbuild images lists those that there are", "no local image %s", name)
	}
	return nil, err
}
