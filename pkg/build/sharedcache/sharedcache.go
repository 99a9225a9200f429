// Package sharedcache is a place where several machines keep what steps made: what an entry of it is, and how it is read and written.
// Entries are found by name alone, so that writers never wait for each other, and a cache may lose any of them. The package knows no
// build; who makes a Cache says how an image of a tag is found and written.
package sharedcache

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"

	"github.com/gbuild/gbuild/internal/madeimage"
	"github.com/gbuild/gbuild/internal/recipe"
	"github.com/gbuild/gbuild/pkg/layers"
)

// Cache is a place where several machines keep what steps made: an image for each key, under a tag of its own, so
// that writers never wait for each other. Reading it can fail at any time; the build then goes on without it.
type Cache struct {
	Name   string // its name in messages
	Place  string // names it on this machine: another cache has another one
	Scope  string // the trust scope: part of every tag, so that no scope finds the entries of another
	All    bool   // also the steps of stages that are not part of the image
	Source string // the registry and repository that the layers are in, if they are in one

	MaxAge time.Duration // an entry that was made longer ago is taken for none; 0: there is no such age

	// Open finds the image of a tag; nil where there is none. Its layers are read as long as ctx lives.
	Open  func(ctx context.Context, tag string) (v1.Image, error)
	Write func(ctx context.Context, tag string, img v1.Image) error

	mu     sync.Mutex
	asked  map[string]func() (*Entry, error)
	broken bool // it has failed, and that was said
}

// Entry is what a shared cache has for a key: the layers of the state that a step made, or a digest.
type Entry struct {
	Result layers.Key // the digest or other fact; of a step the nonce of its outcome: it names nothing by itself
	Layers []v1.Layer
	used   time.Time
	made   time.Time // what wrote no such time made it when it was last used
	Cache  string    // its name
}

// TagPrefix begins the tags of all entries.
const TagPrefix = "gbuild-"

const (
	patience = 10 * time.Second // the time that one question may take
	refresh  = 24 * time.Hour   // how exact the last use of an entry is

	tagLabel    = "gbuild.entry"  // its own tag: a copy under another one is not taken
	resultLabel = "gbuild.result" // 64 hexadecimal digits
	madeLabel   = "gbuild.made"   // when the result was written first, by RFC 3339
)

// Error says that what a shared cache had promised cannot be read. Without that cache the build can be done.
type Error struct {
	Cache string
	Err   error
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("reading cache %s: %v", e.Cache, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Tag names the entry of a key: it says nothing of what it was made of.
func (c *Cache) Tag(kind string, key layers.Key) string {
	r := recipe.New("shared "+kind, key)
	r.Text(c.Scope)
	k := r.Key()
	return TagPrefix + k.String()
}

// Find looks a tag up, once for all who ask.
func (c *Cache) Find(ctx context.Context, tag string) (*Entry, error) {
	c.mu.Lock()
	if c.broken {
		c.mu.Unlock()
		return nil, nil
	}
	look := c.asked[tag]
	if look == nil {
		look = sync.OnceValues(func() (*Entry, error) { return c.read(ctx, tag) })
		if c.asked == nil {
			c.asked = map[string]func() (*Entry, error){}
		}
		c.asked[tag] = look
	}
	c.mu.Unlock()
	return look()
}

// read gives up after a while: a build must not wait for a cache longer than it would take to do the work.
func (c *Cache) read(ctx context.Context, tag string) (*Entry, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(patience, func() { cancel(fmt.Errorf("no answer for %v", patience)) })
	defer late.Stop()
	img, err := c.Open(ctx, tag)
	if img == nil || err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, err
	}
	return c.decode(tag, img)
}

// errForeign is an entry that is of no use: the step runs, and its entry is written anew.
var errForeign = errors.New("an entry is not what gbuild wrote for its key")

// decode reads an entry. It must be the one that was asked for: a registry can give another one that name.
func (c *Cache) decode(tag string, img v1.Image) (*Entry, error) {
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	e := &Entry{used: config.Created.Time, made: config.Created.Time, Cache: c.Name}
	if made, err := time.Parse(time.RFC3339, config.Config.Labels[madeLabel]); err == nil {
		e.made = made
	}
	if c.MaxAge > 0 && time.Since(e.made) > c.MaxAge {
		return nil, nil
	}
	result, err := hex.DecodeString(config.Config.Labels[resultLabel])
	if err != nil || len(result) != len(e.Result) || config.Config.Labels[tagLabel] != tag {
		return nil, errForeign
	}
	e.Result = layers.Key(result)
	if e.Layers, err = img.Layers(); err != nil {
		return nil, err
	}
	for i, l := range e.Layers {
		e.Layers[i] = cachedLayer{l, c.Source, c.Name, nil}
		if i < len(config.History) && config.History[i].Comment != "" {
			e.Layers[i] = cachedLayer{l, c.Source, c.Name, strings.Split(config.History[i].Comment, ", ")}
		}
	}
	return e, nil
}

// Put makes the entry of a tag, or sets the time of its last use, unless that is a matter of hours ago.
func (c *Cache) Put(ctx context.Context, tag string, result layers.Key, all func() ([]v1.Layer, error)) error {
	old, _ := c.Find(ctx, tag) // one that cannot be read is written anew
	if old != nil && old.Result == result && old.IsFresh() {
		return nil
	}
	list, err := all()
	if err != nil {
		return err
	}
	made := time.Now()
	if old != nil && old.Result == result {
		made = old.made
	}
	img, err := encodeEntry(tag, result, made, list)
	if err != nil {
		return err
	}
	return c.Write(ctx, tag, img)
}

// encodeEntry makes an image of an entry, so that a registry keeps it: the result is in a label, and no file system is meant.
func encodeEntry(tag string, result layers.Key, made time.Time, all []v1.Layer) (v1.Image, error) {
	config := &v1.ConfigFile{OS: "unknown", Architecture: "unknown", Created: v1.Time{Time: time.Now().UTC().Truncate(time.Second)},
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}},
		Config: v1.Config{Labels: map[string]string{tagLabel: tag, resultLabel: result.String(), madeLabel: made.UTC().Format(time.RFC3339)}}}
	for _, l := range all {
		id, err := l.DiffID()
		if err != nil {
			return nil, err
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, id)
		config.History = append(config.History, v1.History{Comment: strings.Join(layers.DistributionsOf(l), ", ")})
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("encoding config: %w", err)
	}
	return madeimage.New(raw, all)
}

// Fail notes a failure, and returns what is to be said of it: that the build goes on without the cache, which is said once,
// or without one entry of it.
func (c *Cache) Fail(doing string, err error) (text string) {
	if errors.Is(err, errForeign) {
		return fmt.Sprintf("%s cache %s: %v; it is not used", doing, c.Name, err)
	}
	c.mu.Lock()
	first := !c.broken
	c.broken = true
	c.mu.Unlock()
	if !first || errors.Is(err, context.Canceled) {
		return ""
	}
	return fmt.Sprintf("%s cache %s: %v; the build goes on without it", doing, c.Name, err)
}

// Works says whether the cache has not failed yet.
func (c *Cache) Works() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.broken
}

// cachedLayer is a layer in a shared cache; who cannot read it gets a *Error.
type cachedLayer struct {
	v1.Layer
	source, cache string
	distributions []string
}

// Distributions names the Python distributions that the layer has, where it was made for them: see
// layers.DistributionsOf.
func (l cachedLayer) Distributions() []string { return l.distributions }

// Descriptor is what the entry says of the layer. ggcr's partial.Descriptor finds it.
func (l cachedLayer) Descriptor() (*v1.Descriptor, error) { return partial.Descriptor(l.Layer) }

// Source is the repository that the layer can be mounted from.
func (l cachedLayer) Source() string { return l.source }

// Compressed implements v1.Layer.
func (l cachedLayer) Compressed() (io.ReadCloser, error) {
	rc, err := l.Layer.Compressed()
	if err != nil {
		return nil, &Error{l.cache, err}
	}
	return cachedReader{rc, l.cache}, nil
}

type cachedReader struct {
	io.ReadCloser
	cache string
}

// Read implements io.Reader.
func (r cachedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = &Error{r.cache, err}
	}
	return n, err
}

// IsFresh says whether the entry was used a short while ago.
func (e *Entry) IsFresh() bool { return time.Since(e.used) < refresh }
