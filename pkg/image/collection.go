// This file owns repositories and layouts that hold many small images, as a shared cache does.

package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/gbuild/gbuild/internal/hint"
)

// Collection is a repository, or an OCI layout, that holds many small images, each under a tag of its own. One login
// serves all of them. It is safe for concurrent use, also by several processes: a tag is written whole or not at all.
type Collection struct {
	ref     Ref // Its tag begins the tags of the images.
	options WriteOptions

	mu      sync.Mutex
	clients map[string]*client // It has, by action, those that have logged in.
}

// NewCollection names a collection; nothing is read yet. A tag of r, if it has one, and a dash go before every tag.
func NewCollection(r Ref, o Options) (*Collection, error) {
	if r.Digest != "" || r.Kind != KindRegistry && r.Kind != KindOCI {
		return nil, badRef(r.String(), "it is neither a repository of a registry nor oci:DIR")
	}
	return &Collection{ref: r, options: WriteOptions{Options: o}, clients: map[string]*client{}}, nil
}

// String names the collection in messages.
func (c *Collection) String() string {
	r := c.ref
	if c.prefix() == "" {
		r.Tag = ""
	}
	return r.Familiar()
}

// at is the reference of one image.
func (c *Collection) at(tag string) Ref {
	r := c.ref
	r.Tag = c.prefix() + tag
	return r
}

// prefix is what goes before every tag of the collection.
func (c *Collection) prefix() string {
	if c.ref.Tag == "" || c.ref.Tag == "latest" { // ParseRef adds latest.
		return ""
	}
	return c.ref.Tag + "-"
}

// client returns the one that may do action, which is made at its first use.
func (c *Collection) client(ctx context.Context, action string) (*client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if kept := c.clients[action]; kept != nil {
		return kept, nil
	}
	made, err := newClient(ctx, login{ref: c.ref, options: c.options.Options, action: action})
	if err == nil {
		c.clients[action] = made
	}
	return made, err
}

// Open finds an image, as the function Open does; the error is a *NotFoundError where there is none.
func (c *Collection) Open(ctx context.Context, tag string) (v1.Image, error) {
	r := c.at(tag)
	if r.Kind != KindRegistry {
		return Open(ctx, r, c.options.Options)
	}
	from, err := c.client(ctx, transport.PullScope)
	if err != nil {
		return nil, err
	}
	m, err := from.get(ctx, r.Tag)
	if err != nil {
		return nil, err
	}
	return opening{from, c.options.platform()}.image(ctx, m, 0)
}

// Write puts an image under a tag, in the place of what was there.
func (c *Collection) Write(ctx context.Context, tag string, img v1.Image) error {
	r := c.at(tag)
	if r.Kind != KindRegistry {
		_, err := Write(ctx, r, img, c.options)
		return err
	}
	shared, err := c.client(ctx, transport.PushScope)
	if err != nil {
		return err
	}
	layers, err := img.Layers()
	if err != nil {
		return fmt.Errorf("listing layers: %w", err)
	}
	to := *shared
	to.ref = r
	_, err = push{to: &to, img: img, layers: layers, options: c.options}.run(ctx)
	return err
}

// Source is what the layers of the collection say that they are in; empty for a layout.
func (c *Collection) Source() string {
	if c.ref.Kind != KindRegistry {
		return ""
	}
	return c.ref.registryHost() + "/" + c.ref.Repository
}

// Tags lists the images, without what goes before every tag. Where there is no collection yet, there are none.
func (c *Collection) Tags(ctx context.Context) ([]string, error) {
	all, err := c.allTags(ctx)
	var missing *NotFoundError
	if err != nil && !errors.As(err, &missing) {
		return nil, err
	}
	var tags []string
	for _, tag := range all {
		if name, ok := strings.CutPrefix(tag, c.prefix()); ok {
			tags = append(tags, name)
		}
	}
	return tags, nil
}

// allTags lists all tags of the repository or the layout, also those that are not the collection's.
func (c *Collection) allTags(ctx context.Context) (all []string, err error) {
	if c.ref.Kind != KindRegistry {
		return layoutTags(c.ref)
	}
	from, err := c.client(ctx, transport.PullScope)
	if err != nil {
		return nil, err
	}
	for next := from.url("tags", "list"); next != nil; {
		page, more, err := tagPage(ctx, from, next)
		if err != nil {
			return nil, err
		}
		all, next = append(all, page...), more
	}
	return all, nil
}

// tagPage reads one page of a list of tags, and says where the next one is (distribution spec, "Content discovery").
func tagPage(ctx context.Context, c *client, at *url.URL) ([]string, *url.URL, error) {
	resp, err := c.do(ctx, request{method: http.MethodGet, to: at}, http.StatusOK)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	raw, err := readCapped(resp.Body, MaxManifest, c.ref.String()+": list of tags")
	if err != nil {
		return nil, nil, c.typed(err)
	}
	var list struct{ Tags []string }
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, nil, hint.Errorf(noRemedy, "%s: its list of tags is no JSON", c.ref)
	}
	link, _, ok := strings.Cut(strings.TrimPrefix(resp.Header.Get("Link"), "<"), ">")
	if !ok {
		return list.Tags, nil, nil
	}
	next, err := at.Parse(link)
	if err != nil || next.Host != at.Host {
		return nil, nil, hint.Errorf(noRemedy, "%s: its list of tags goes on at %q", c.ref, link)
	}
	return list.Tags, next, nil
}

// Remove deletes an image, in a registry under all its tags. A layout also loses the blobs that nothing else there needs;
// a registry does, when its garbage is collected.
func (c *Collection) Remove(ctx context.Context, tag string) error {
	if c.ref.Kind != KindRegistry {
		return removeFromLayout(ctx, c.at(tag))
	}
	to, err := c.client(ctx, transport.PushScope)
	if err != nil {
		return err
	}
	digest, err := to.digest(ctx, c.at(tag).Tag)
	if err != nil {
		return err
	}
	remove := request{method: http.MethodDelete, to: to.url("manifests", digest.String())}
	return closed(to.do(ctx, remove, http.StatusAccepted, http.StatusOK, http.StatusNoContent))
}
