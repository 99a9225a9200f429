// This file owns what bounds that which is fetched from web and git servers: in bytes, and in the time in which nothing comes.

package remote

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/docker/go-units"
)

const (
	maxDownload  = 100_000_000_000 // bytes of a file, a context or a repository, where nothing else is asked for
	defaultStall = time.Minute
	maxGitOutput = 64 << 20 // bytes of a list that git prints, and of its errors
)

// Bounds are the bounds of a download; zero ones stand for the defaults.
type Bounds struct {
	Bytes int64         // the most that one file, context or repository may have
	Stall time.Duration // the longest time in which a server may send nothing
}

// orDefault fills in what nobody set.
func (b Bounds) orDefault() Bounds {
	return Bounds{cmp.Or(b.Bytes, maxDownload), cmp.Or(b.Stall, defaultStall)}
}

// SizeError says that a server has more than may be fetched.
type SizeError struct{ Most int64 }

// Error implements error.
func (e *SizeError) Error() string {
	return fmt.Sprintf("it has more than the %s that may be fetched", units.HumanSize(float64(e.Most)))
}

// Hint says how to allow more.
func (e *SizeError) Hint() string { return "set GBUILD_MAX_DOWNLOAD to a larger size, such as 500GB" }

// StallError says that a server sends nothing any more.
type StallError struct{ For time.Duration }

// Error implements error.
func (e *StallError) Error() string { return fmt.Sprintf("the server has sent nothing for %s", e.For) }

// Hint says what may help.
func (e *StallError) Hint() string { return "try again; what was fetched in part is not kept" }

// boundedTransport bounds the answers of another transport.
type boundedTransport struct {
	to     http.RoundTripper
	bounds Bounds
}

// RoundTrip implements http.RoundTripper.
func (t *boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	res, err := t.to.RoundTrip(r.Clone(ctx))
	if err == nil && res.ContentLength > t.bounds.Bytes {
		res.Body.Close()
		err = &SizeError{t.bounds.Bytes}
	}
	if err != nil {
		cancel(nil)
		return nil, err
	}
	timer := time.AfterFunc(t.bounds.Stall, func() { cancel(&StallError{t.bounds.Stall}) })
	timer.Stop()
	res.Body = &boundedBody{ReadCloser: res.Body, bounds: t.bounds, timer: timer, ctx: ctx, cancel: cancel}
	return res, nil
}

// boundedBody is a body of which there may be so much, and that may not stall. The timer runs while it is read: who
// reads may take longer.
type boundedBody struct {
	io.ReadCloser
	bounds Bounds
	read   int64
	timer  *time.Timer
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.bounds.Stall)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if b.read += int64(n); b.read > b.bounds.Bytes {
		return n, &SizeError{b.bounds.Bytes}
	}
	if stalled, ok := errors.AsType[*StallError](context.Cause(b.ctx)); ok && err != nil && err != io.EOF { //nolint:errorlint // A stream ends with io.EOF itself.
		err = stalled
	}
	return n, err
}

// Close implements io.Closer.
func (b *boundedBody) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}

// gitConfig makes git give up on a web server that sends nothing.
func (b Bounds) gitConfig() [][2]string {
	return [][2]string{{"http.lowSpeedLimit", "1"}, {"http.lowSpeedTime", fmt.Sprintf("%.0f", max(b.Stall.Seconds(), 1))}}
}

// watchPacks ends ctx when git has fetched more than it may; stop ends the watching.
func (b Bounds) watchPacks(ctx context.Context, dir string) (watched context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		ticker := time.NewTicker(min(time.Second, b.Stall))
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if packed(dir) > b.Bytes {
					cancel(&SizeError{b.Bytes})
				}
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// packed is the size of the packs in a repository or in the .git of one, with those that still grow.
func packed(dir string) (size int64) {
	for _, packs := range []string{".git/objects/pack", "objects/pack"} {
		list, _ := os.ReadDir(filepath.Join(dir, packs))
		for _, e := range list {
			if info, err := e.Info(); err == nil {
				size += info.Size()
			}
		}
	}
	return size
}

// boundedBuffer keeps so much of what is written, and refuses the rest. It has none of the other methods of its buffer:
// io.Copy would take ReadFrom.
type boundedBuffer struct {
	kept bytes.Buffer
	over bool
}

// Write implements io.Writer.
func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.over = b.kept.Len()+len(p) > maxGitOutput; b.over {
		return 0, io.ErrShortWrite
	}
	return b.kept.Write(p)
}
