// This file owns what the builds need: bases in the registry, and wheels with their index.

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gbuild/gbuild/internal/testimage"
)

// prepare makes what is not there from an earlier run: bases in the registry, wheels and their index, contexts.
func (b *bench) prepare(ctx context.Context) error {
	b.cleanRegistry()
	if err := b.pushBases(ctx); err != nil {
		return err
	}
	if err := b.serveWheels(ctx); err != nil {
		return err
	}
	return b.writeContexts()
}

func (b *bench) pushBases(ctx context.Context) error {
	bases := map[string]func() (v1.Image, error){
		"shell":  testimage.Shell,
		"python": func() (v1.Image, error) { return testimage.Python(ctx, b.dir) },
		"layers-" + b.size.name: func() (v1.Image, error) {
			b.say("making an image of %d layers of %d MB", b.size.pullLayers, b.size.pullBytes>>20)
			return b.layeredImage()
		},
	}
	for base, make := range bases {
		ref, err := name.ParseReference(b.base(base))
		if err != nil {
			return err
		}
		if _, err := remote.Head(ref, remote.WithContext(ctx)); err == nil {
			continue
		}
		img, err := make()
		if err != nil {
			return fmt.Errorf("making the base %s: %w", base, err)
		}
		if err := testimage.Push(ctx, b.base(base), img); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) base(name string) string { return b.registry + "/base/" + name + ":1" }

// layeredImage is shell with layers of a large file and many small ones.
func (b *bench) layeredImage() (v1.Image, error) {
	img, err := testimage.Shell()
	if err != nil {
		return nil, err
	}
	const small = 8 << 10
	for l := range b.size.pullLayers {
		dir := fmt.Sprintf("data/%d/", l)
		random := random(uint64(100 + l))
		files := []testimage.File{{Name: dir}, {Name: dir + "big", Body: text(random, b.size.pullBytes-b.size.pullFiles*small)}}
		for i := range b.size.pullFiles {
			files = append(files, testimage.File{Name: fmt.Sprintf("%s%d", dir, i), Body: text(random, small)})
		}
		if img, err = testimage.Append(img, files...); err != nil {
			return nil, err
		}
	}
	return img, nil
}

// random is a source that gives the same bytes in every run.
func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// text is n bytes that deflate to about two fifths, as libraries and modules do.
func text(r *rand.Rand, n int) string {
	var b strings.Builder
	b.Grow(n + 64)
	noise := make([]byte, 24)
	for b.Len() < n {
		for i := range noise {
			noise[i] = byte(r.Uint32())
		}
		b.Write(noise)
		b.WriteString("\x00\x00\x48\x89\xc7\xe8 movaps xmm0, cuda_kernel")
	}
	return b.String()[:n]
}

// module is the source of a Python module of about 8 KiB.
func module(r *rand.Rand) string {
	var b strings.Builder
	for b.Len() < 8<<10 {
		n := r.IntN(1 << 20)
		fmt.Fprintf(&b, "def f%d(a, b=%d):\n    \"\"\"Weighs a against b.\"\"\"\n    if a > b * %d:\n        return [x + %d for x in range(a)]\n    return {'name%d': a, 'total': a + b}\n\n", n, n, n%97, n%31, n)
	}
	return b.String()
}

// serveWheels makes the wheels, unless they are there, and serves them on a free port of loopback.
func (b *bench) serveWheels(ctx context.Context) error {
	dir := filepath.Join(b.dir, "wheels-"+b.size.name)
	if _, err := os.Stat(dir + "/done"); err != nil {
		b.say("making wheels")
		if err := b.makeWheels(dir); err != nil {
			return err
		}
	}
	index, err := testimage.NewIndex()
	if err != nil {
		return err
	}
	wheels, err := filepath.Glob(dir + "/*.whl")
	if err != nil {
		return err
	}
	for _, w := range wheels {
		if err := index.AddFile(w); err != nil {
			return err
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: index, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // returns when closed
	b.closeIndex = func() { _ = server.Close() }
	b.indexURL = fmt.Sprintf("http://%s/simple/", listener.Addr())
	return nil
}

func (b *bench) makeWheels(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var names []string
	for _, make := range b.wheels() {
		w, err := make()
		if err != nil {
			return err
		}
		data, err := w.Bytes()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, w.Filename()), data, 0o644); err != nil {
			return err
		}
		names = append(names, w.Name+"=="+w.Version)
	}
	return os.WriteFile(dir+"/done", []byte(strings.Join(names, "\n")+"\n"), 0o644)
}

// wheels are some of Debian's packages, large libraries, and packages of many modules; each is made when it is its turn.
func (b *bench) wheels() []func() (testimage.Wheel, error) {
	var all []func() (testimage.Wheel, error)
	for _, debian := range []string{"python3-six", "python3-yaml", "python3-tabulate"} {
		all = append(all, func() (testimage.Wheel, error) { return testimage.DebianWheel(debian) })
	}
	for i := range b.size.bigWheels {
		all = append(all, func() (testimage.Wheel, error) {
			return testimage.Wheel{Name: fmt.Sprintf("bench-big%d", i), Version: "1.0",
				Files: map[string]string{fmt.Sprintf("bench_big%d/lib/libbench.so", i): text(random(uint64(i)), b.size.bigBytes)}}, nil
		})
	}
	for i := range b.size.midWheels {
		all = append(all, func() (testimage.Wheel, error) { return b.midWheel(i), nil })
	}
	return all
}

func (b *bench) midWheel(i int) testimage.Wheel {
	r := random(uint64(1000 + i))
	dir := fmt.Sprintf("bench_mid%d/", i)
	files := map[string]string{dir + "__init__.py": "", dir + "data.bin": text(r, b.size.midBytes)}
	for m := range b.size.midModules {
		files[fmt.Sprintf("%sm%d.py", dir, m)] = module(r)
	}
	return testimage.Wheel{Name: fmt.Sprintf("bench-mid%d", i), Version: "1.0", Files: files}
}

// cleanRegistry removes what builders pushed: their repositories, and the blobs that no base has. The registry keeps
// nothing of that in memory.
func (b *bench) cleanRegistry() {
	root := filepath.Join(b.dir, "registry/data/docker/registry/v2")
	keep := map[string]bool{}
	for _, kind := range []string{"_layers", "_manifests/revisions"} {
		links, _ := filepath.Glob(filepath.Join(root, "repositories/base/*", kind, "sha256/*"))
		for _, l := range links {
			keep[filepath.Base(l)] = true
		}
	}
	blobs, _ := filepath.Glob(root + "/blobs/sha256/*/*")
	errs := []error{os.RemoveAll(root + "/repositories/bench")}
	for _, blob := range blobs {
		if !keep[filepath.Base(blob)] {
			errs = append(errs, os.RemoveAll(blob))
		}
	}
	if err := errors.Join(errs...); err != nil {
		b.say("cleaning the registry: %v", err)
	}
}
