// This file owns what one build asks of its shared caches, and what it writes to them.

package build

import (
	"context"
	"errors"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/recipe"
	"github.com/gbuild/gbuild/internal/tasks"
	"github.com/gbuild/gbuild/pkg/build/sharedcache"
	"github.com/gbuild/gbuild/pkg/layers"
)

// The kinds of entries.
const (
	sharedStep    = "step"
	sharedDigest  = "digest"
	sharedCreated = "created"
	sharedFiles   = "files-2" // indexes: see index.go
)

// sharedCaches are those of one build.
type sharedCaches struct {
	from, to []*sharedcache.Cache
	outer    context.Context // the context of the caller: layers are read after the build's own has ended
	events   *events

	written tasks.Once[sharedEntry, struct{}]
}

// sharedEntry names an entry that is written.
type sharedEntry struct {
	cache *sharedcache.Cache
	tag   string
}

// key names the caches that the build reads, all together; zero where there are none.
func (s *sharedCaches) key() (k layers.Key) {
	if len(s.from) == 0 {
		return k
	}
	r := recipe.New("caches", k)
	for _, c := range s.from {
		r.Text(c.Place, c.Scope)
	}
	return r.Key()
}

// ask starts the search for an entry, which is wanted soon.
func (s *sharedCaches) ask(kind string, key layers.Key) {
	for _, c := range s.from {
		go c.Find(s.outer, c.Tag(kind, key))
	}
}

// entry finds the entry of a key in the caches that the build reads.
func (s *sharedCaches) entry(kind string, key layers.Key) *sharedcache.Entry {
	for _, c := range s.from {
		e, err := c.Find(s.outer, c.Tag(kind, key))
		if err != nil {
			s.fail(c, "reading", err)
		}
		if e != nil {
			return e
		}
	}
	return nil
}

// fail says that a cache, or an entry of it, is not used.
func (s *sharedCaches) fail(c *sharedcache.Cache, doing string, err error) {
	if text := c.Fail(doing, err); text != "" {
		s.events.notice(0, text)
	}
}

// writeFact writes a small fact, so that other machines need not have the files to know it: what a selection of a state
// is, or when an image was first made.
func (s *sharedCaches) writeFact(ctx context.Context, kind string, record, fact layers.Key) {
	for _, c := range s.to {
		s.write(ctx, c, c.Tag(kind, record), fact, func() ([]v1.Layer, error) { return nil, nil })
	}
}

// write writes an entry, once in a build and beside the steps that follow.
func (s *sharedCaches) write(ctx context.Context, c *sharedcache.Cache, tag string, result layers.Key, all func() ([]v1.Layer, error)) {
	s.written.Start(sharedEntry{c, tag}, func() (none struct{}, err error) {
		if !c.Works() {
			return none, nil
		}
		err = c.Put(s.outer, tag, result, all)
		if errors.Is(err, ErrNeedsNamespace) || ctx.Err() != nil {
			return none, err
		}
		if err != nil {
			s.fail(c, "writing", err)
		}
		return none, nil
	})
}

// isFresh says whether a cache has an entry that was used a short while ago.
func (s *sharedCaches) isFresh(c *sharedcache.Cache, kind string, key layers.Key) bool {
	old, _ := c.Find(s.outer, c.Tag(kind, key))
	return old != nil && old.IsFresh()
}
