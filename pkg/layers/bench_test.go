package layers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/gbuild/gbuild/internal/testimage"
	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// manyFiles makes 2000 files of 4 KiB and one of 64 MiB.
func manyFiles(b *testing.B) (string, int64) {
	dir := b.TempDir()
	small, big := testimage.Bytes(4096), testimage.Bytes(64<<20)
	for i := range 20 {
		check(b, os.Mkdir(fmt.Sprintf("%s/%d", dir, i), 0o755))
		for j := range 100 {
			check(b, os.WriteFile(fmt.Sprintf("%s/%d/%d", dir, i, j), small, 0o644))
		}
	}
	check(b, os.WriteFile(dir+"/big", big, 0o644))
	return dir, int64(len(big) + 2000*len(small))
}

func BenchmarkWriteDiff(b *testing.B) {
	dir, size := manyFiles(b)
	b.SetBytes(size)
	for b.Loop() {
		check(b, rootfs.WriteDiff(context.Background(), io.Discard, []string{dir}, rootfs.DiffOptions{}))
	}
}

func BenchmarkApply(b *testing.B) {
	dir, size := manyFiles(b)
	var buf bytes.Buffer
	check(b, rootfs.WriteDiff(context.Background(), &buf, []string{dir}, rootfs.DiffOptions{}))
	b.SetBytes(size)
	for i := 0; b.Loop(); i++ {
		to := fmt.Sprintf("%s/%d", b.TempDir(), i)
		check(b, os.MkdirAll(to, 0o755))
		_, err := apply(context.Background(), bytes.NewReader(buf.Bytes()), to, applyOptions{})
		check(b, err)
		b.StopTimer()
		os.RemoveAll(to)
		b.StartTimer()
	}
}

// BenchmarkPack makes the layer of a directory (manyFiles, or $GBUILD_BENCH_TREE), and, as its limit, does nothing but
// compress the same tar.
func BenchmarkPack(b *testing.B) {
	dir, _ := manyFiles(b)
	if tree := os.Getenv("GBUILD_BENCH_TREE"); tree != "" {
		dir = tree
	}
	write := func(w io.Writer) error {
		return rootfs.WriteDiff(context.Background(), w, []string{dir}, rootfs.DiffOptions{})
	}
	var tar bytes.Buffer
	check(b, write(&tar))
	s := newStore(b)
	for _, c := range []codec.Compression{{}, {Level: 1}, {Algorithm: "zstd"}} {
		name := fmt.Sprintf("%s-%d", c.Name(), c.Level)
		b.Run(name+"/alone", func(b *testing.B) {
			b.SetBytes(int64(tar.Len()))
			for b.Loop() {
				_, err := codec.Compress(io.Discard, c, codec.Options{}, func(w io.Writer) error {
					_, err := w.Write(tar.Bytes())
					return err
				})
				check(b, err)
			}
		})
		b.Run(name+"/layer", func(b *testing.B) {
			b.SetBytes(int64(tar.Len()))
			for b.Loop() {
				_, err := s.maker.pack(context.Background(), packing{Compression: c, from: sendFrom}, write)
				check(b, err)
			}
		})
	}
}
