package image

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Growing is a blob that may still be written. Open reads it from its first byte on, and waits for those that are not
// there yet; Digest waits for the last; Size is -1 until then.
type Growing interface {
	Open() (io.ReadCloser, error)
	Digest() (v1.Hash, error)
	Size() int64
}

// Ahead sends layers to a repository before the image that will hold them is complete. What it could not send is no
// error: Write sends all that it does not find there, and says what is wrong.
type Ahead struct {
	ctx    context.Context
	cancel context.CancelFunc
	ref    Ref
	o      WriteOptions
	slots  chan struct{}
	login  func() (*client, error)
	sent   sync.WaitGroup
	meter  *meter
	there  sync.Map // v1.Hash of what the registry has taken, or had
	asked  sync.Map // tag -> func() answer
}

// answer is what a tag stood for at a time, see client.standing.
type answer struct {
	digest v1.Hash
	at     time.Time
	err    error
}

// answerAge is how old an answer about a tag may be that a push relies on.
const answerAge = 2 * time.Second

// NewAhead returns an Ahead for the repository of r, a registry's. Nothing is asked of the registry before the first Send.
func NewAhead(ctx context.Context, r Ref, o WriteOptions) (*Ahead, error) {
	if r.Kind != KindRegistry {
		return nil, &RefError{r.String(), "layers are sent ahead to registries only"}
	}
	a := &Ahead{ref: r, o: o, slots: make(chan struct{}, o.jobs()), meter: &meter{}}
	a.ctx, a.cancel = context.WithCancel(ctx)
	a.login = sync.OnceValues(func() (*client, error) {
		c, err := newClient(a.ctx, r, o.Options, transport.PushScope)
		if err == nil {
			c.meter = a.meter
		}
		return c, err
	})
	return a, nil
}

// Send starts to send a blob, and returns at once. known says that it was made before, so that the repository may have it.
func (a *Ahead) Send(b Growing, known bool) {
	a.sent.Go(func() {
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

func (a *Ahead) send(c *client, b Growing, known bool) error {
	if b.Size() < 0 {
		return c.stream(a.ctx, b)
	}
	h, err := b.Digest()
	if err != nil {
		return err
	}
	return c.upload(a.ctx, upload{digest: h, size: b.Size(), open: b.Open, fresh: !known}, true)
}

// Ask asks what a tag of the repository stands for, and returns at once: a build that takes no longer than the answer need not
// wait for it at its end.
func (a *Ahead) Ask(tag string) {
	ask := sync.OnceValue(func() answer {
		c, err := a.login()
		if err != nil {
			return answer{err: err}
		}
		h, err := c.standing(once(a.ctx), tag) // Write has patience
		return answer{h, time.Now(), err}
	})
	if _, known := a.asked.LoadOrStore(tag, ask); !known {
		a.sent.Go(func() { ask() })
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
	said := ask.(func() answer)()
	return said.digest, said.err == nil && time.Since(said.at) < answerAge
}

// sentBefore says whether the registry has taken a blob, or had it.
func (a *Ahead) sentBefore(h v1.Hash) bool {
	if a == nil {
		return false
	}
	_, ok := a.there.Load(h)
	return ok
}

// Close ends what is under way.
func (a *Ahead) Close() {
	a.cancel()
	a.sent.Wait()
}

// stream sends a blob whose digest is known only at its end. If the registry turns out to have it, the rest is not sent.
func (c *client) stream(ctx context.Context, b Growing) error {
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
	err := c.uploadOnce(ctx, upload{later: b.Digest, size: -1, open: b.Open})
	if there.Load() {
		return nil
	}
	return err
}
