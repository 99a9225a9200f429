package image

import (
	"context"
	"io"
	"sync"

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
}

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

// Wait returns when all that was to be sent is, or has failed. report is told the bytes until then.
func (a *Ahead) Wait(report func(done, total int64)) {
	a.meter.tell(report)
	a.sent.Wait()
	a.meter.tell(nil)
}

// Close ends what is under way.
func (a *Ahead) Close() {
	a.cancel()
	a.sent.Wait()
}

// stream sends a blob whose digest is known only at its end. If the registry turns out to have it, the rest is not sent,
// and the error is the cancellation.
func (c *client) stream(ctx context.Context, b Growing) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		if h, err := b.Digest(); err != nil {
			cancel()
		} else if there, err := c.exists(ctx, h); err == nil && there {
			cancel()
		}
	}()
	return c.uploadOnce(ctx, upload{later: b.Digest, size: -1, open: b.Open})
}
