// This file owns what bounds gbuild: the same bytes through a compressor alone, for instance.

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/klauspost/compress/flate"
	"golang.org/x/sync/errgroup"
)

// limits holds gbuild's own parts against what the machine allows.
func limits(ctx context.Context, b *bench) error {
	b.results.Limits = nil
	t, r := b.tool("gbuild"), &figures{}
	for range 20 {
		u, err := b.measure(ctx, t, b.log(t, "version"), false, t.version)
		if err != nil {
			return err
		}
		r.Runs = append(r.Runs, u)
	}
	b.results.Limits = append(b.results.Limits, limit{What: "`gbuild version`", Got: r.wall()})
	return b.exporting(ctx, t)
}

// exporting makes the layers of the learning image once more from what is stored, and holds that against the compressor
// alone on the same bytes.
func (b *bench) exporting(ctx context.Context, t *tool) error {
	j := job{dir: b.contexts + "/learning", ref: b.ref("export", t), push: true, args: []string{"INDEX=" + b.indexURL}}
	if _, err := b.measure(ctx, t, b.log(t, "export"), false, t.build(j)...); err != nil {
		return err
	}
	file := filepath.Join(b.dir, "layer.tar")
	defer os.Remove(file)
	if err := fetchOwn(ctx, j.ref, b.base("python"), file); err != nil {
		return err
	}
	var u usage
	for _, level := range []int{1, level} { // of which none is stored yet; the first brings the snapshot into memory, where a new one is
		again := t.build(job{dir: j.dir, ref: j.ref, args: j.args})[0]
		again = append(again[:len(again)-1], fmt.Sprint("--compression-level=", level), j.dir)
		var err error
		if u, err = b.measure(ctx, t, b.log(t, "export"), false, again); err != nil {
			return err
		}
	}
	compressing, err := timed(file, compressAlone)
	if err != nil {
		return err
	}
	hashing, err := timed(file, func(r io.Reader) error { _, err := io.Copy(sha256.New(), r); return err })
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("export of layers of %d MB", info.Size()/1e6)
	b.results.Limits = append(b.results.Limits,
		limit{what, u.Wall, compressing, fmt.Sprintf("deflate at level %d alone, on all cores", level)},
		limit{what, u.Wall, hashing, "SHA-256 alone, on one core"})
	return nil
}

// fetchOwn writes the layers of an image in the registry that its base has not, uncompressed, to a file.
func fetchOwn(ctx context.Context, from, base, to string) error {
	all, err := fetchLayers(ctx, from)
	if err != nil {
		return err
	}
	below, err := fetchLayers(ctx, base)
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	for _, l := range all[len(below):] {
		if err := appendLayer(out, l); err != nil {
			return errors.Join(err, out.Close())
		}
	}
	return out.Close()
}

func fetchLayers(ctx context.Context, from string) ([]v1.Layer, error) {
	ref, err := name.ParseReference(from)
	if err != nil {
		return nil, err
	}
	img, err := remote.Image(ref, remote.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	return img.Layers()
}

func appendLayer(out io.Writer, l v1.Layer) error {
	tar, err := l.Uncompressed()
	if err != nil {
		return err
	}
	defer tar.Close()
	_, err = io.Copy(out, tar)
	return err
}

// timed is how long do takes with the bytes of a file that is in memory already, as a new snapshot is.
func timed(file string, do func(io.Reader) error) (time.Duration, error) {
	var took time.Duration
	for _, do := range []func(io.Reader) error{func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }, do} {
		f, err := os.Open(file)
		if err != nil {
			return 0, err
		}
		began := time.Now()
		err = do(struct{ io.Reader }{f})
		took = time.Since(began)
		_ = f.Close()
		if err != nil {
			return 0, err
		}
	}
	return took, nil
}

const level = 6 // not gbuild's default

// compressAlone deflates blocks of 1 MiB side by side and throws the result away: what no builder can be faster than.
func compressAlone(r io.Reader) error {
	var g errgroup.Group
	blocks := make(chan []byte)
	for range runtime.NumCPU() {
		g.Go(func() error {
			z, err := flate.NewWriter(io.Discard, level)
			for block := range blocks {
				if err == nil {
					z.Reset(io.Discard)
					_, _ = z.Write(block)
					err = z.Close()
				}
			}
			return err
		})
	}
	var err error
	for err == nil {
		var n int
		block := make([]byte, 1<<20)
		n, err = io.ReadFull(r, block)
		blocks <- block[:n]
	}
	close(blocks)
	if failed := g.Wait(); failed != nil {
		return failed
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return err
}
