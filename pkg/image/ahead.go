// This file sends layers to a repository while the image that will hold them is still made, and asks early what a tag there
// stands for. A failure here is no error: the push at the end sends what is missing.

package image

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/gbuild/gbuild/pkg/image/wire"
)

// Growing is a blob that may still be written.
type Growing interface {
	// Open reads the blob from its first byte on. A read waits for bytes that are not there yet.
	Open() (io.ReadCloser, error)
	// Digest waits for the last byte.
	Digest() (v1.Hash, error)
	// Size is -1 until the last byte is written.
	Size() int64
}

// Ahead sends layers to a repository before the image that will hold them is complete. What it could not send is no
// error: Write sends all that it does not find there, and says what is wrong. A build makes one for each repository that
// it will push to, gives it to Write, and closes it when the build fails.
type Ahead struct {
	ctx     context.Context
	cancel  context.CancelFunc
	slots   chan struct{} // It bounds how many blobs are sent at a time.
	login   func() (*client, error)
	pending sync.WaitGroup // It counts the requests that are under way.
	meter   *meter
	there   sync.Map // The keys are the digests of what the registry has taken, or had.
	asked   sync.Map // It has, by tag, a func() tagAnswer.
}

// tagAnswer is what a tag stood for at a time. See client.standing.
type tagAnswer struct {
	digest v1.Hash
	at     time.Time
	err    error
}

// answerAge is how old an answer about a tag may be that a push relies on.
const answerAge = 2 * time.Second

// NewAhead returns an Ahead for the repository of r, a registry's. Nothing is asked of the registry before the first Send.
func NewAhead(ctx context.Context, r Ref, o Options) (*Ahead, error) {
	if r.Kind != KindRegistry {
		return nil, badRef(r.String(), "layers are sent ahead to registries only")
	}
	a := &Ahead{slots: make(chan struct{}, blobsAtATime), meter: &meter{}}
	a.ctx, a.cancel = context.WithCancel(ctx)
	a.login = sync.OnceValues(func() (*client, error) {
		c, err := newClient(a.ctx, login{ref: r, options: o, action: transport.PushScope})
		if err == nil {
			c.meter = a.meter
		}
		return c, err
	})
	return a, nil
}

// Send starts to send a blob, and returns at once. known says that it was made before, so that the repository may have it.
func (a *Ahead) Send(b Growing, known bool) {
	a.pending.Go(func() {
		a.slots <- struct{}{}
		defer func() { <-a.slots }()
		c, err := a.login()
		if err != nil {
			return
		}
		if a.send(c, b, known) != nil {
			return
		}
		if h, err := b.Digest(); err == nil {
			a.there.Store(h, true)
		}
	})
}

// send sends a blob that is complete by its digest, and one that still grows as a stream.
func (a *Ahead) send(c *client, b Growing, known bool) error {
	if b.Size() < 0 {
		return stream(a.ctx, c, b)
	}
	h, err := b.Digest()
	if err != nil {
		return err
	}
	return upload{to: c, digest: h, size: b.Size(), open: b.Open, ask: true, unseen: !known}.run(a.ctx)
}

// Ask asks what a tag of the repository stands for, and returns at once: a build that takes no longer than the answer need not
// wait for it at its end.
func (a *Ahead) Ask(tag string) {
	ask := sync.OnceValue(func() tagAnswer {
		c, err := a.login()
		if err != nil {
			return tagAnswer{err: err}
		}
		h, err := c.standing(wire.Once(a.ctx), tag) // Write has patience.
		return tagAnswer{h, time.Now(), err}
	})
	if _, known := a.asked.LoadOrStore(tag, ask); !known {
		a.pending.Go(func() { ask() })
	}
}

// standing returns the answer about a tag if it is there and still young.
func (a *Ahead) standing(tag string) (h v1.Hash, ok bool) {
	if a == nil {
		return h, false
	}
	ask, ok := a.asked.Load(tag)
	if !ok {
		return h, false
	}
	said := ask.(func() tagAnswer)()
	return said.digest, said.err == nil && time.Since(said.at) < answerAge
}

// has says whether the registry has taken a blob, or had it.
func (a *Ahead) has(h v1.Hash) bool {
	if a == nil {
		return false
	}
	_, ok := a.there.Load(h)
	return ok
}

// taken waits for what is under way, and returns all blobs that the registry has taken, or had.
func (a *Ahead) taken() map[v1.Hash]bool {
	all := map[v1.Hash]bool{}
	if a == nil {
		return all
	}
	a.pending.Wait()
	for h := range a.there.Range {
		all[h.(v1.Hash)] = true
	}
	return all
}

// Close ends what is under way.
func (a *Ahead) Close() {
	a.cancel()
	a.pending.Wait()
}

// stream sends a blob whose digest is known only at its end. If the registry turns out to have it, the rest is not sent.
func stream(ctx context.Context, c *client, b Growing) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var there atomic.Bool
	go func() {
		if h, err := b.Digest(); err != nil {
			cancel()
		} else if found, err := c.exists(ctx, h); err == nil && found {
			there.Store(true)
			cancel()
		}
	}()
	err := upload{to: c, later: b.Digest, size: -1, open: b.Open}.once(ctx)
	if there.Load() {
		return nil
	}
	return err
}
