package layers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// manyFiles makes 2000 files of 4 KiB and one of 64 MiB.
func manyFiles(b *testing.B) (string, int64) {
	dir := b.TempDir()
	small, big := someBytes(4096), someBytes(64<<20)
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
		check(b, WriteDiff(context.Background(), io.Discard, dir, nil, DiffOptions{}))
	}
}

func BenchmarkApply(b *testing.B) {
	dir, size := manyFiles(b)
	var buf bytes.Buffer
	check(b, WriteDiff(context.Background(), &buf, dir, nil, DiffOptions{}))
	b.SetBytes(size)
	for i := 0; b.Loop(); i++ {
		to := fmt.Sprintf("%s/%d", b.TempDir(), i)
		check(b, os.MkdirAll(to, 0o755))
		_, err := Apply(context.Background(), bytes.NewReader(buf.Bytes()), to, ApplyOptions{})
		check(b, err)
		b.StopTimer()
		os.RemoveAll(to)
		b.StartTimer()
	}
}

func BenchmarkCompress(b *testing.B) {
	data := someBytes(64 << 20)
	for _, c := range []Compression{{Level: 1}, {Level: 3}, {Level: 5}, {Level: 6}, {Algorithm: "zstd"}, {Algorithm: "none"}} {
		b.Run(fmt.Sprintf("%s-%d", c.algorithm(), c.Level), func(b *testing.B) {
			codec, err := c.codec()
			check(b, err)
			b.SetBytes(int64(len(data)))
			var out int64
			for b.Loop() {
				var w countingWriter
				z := newCompressor(&w, codec)
				z.Write(data)
				_, err := z.finish()
				check(b, err)
				out = int64(w)
			}
			b.ReportMetric(float64(out)/float64(len(data)), "ratio")
		})
	}
}

// BenchmarkPack makes the layer of a directory (manyFiles, or $GBUILD_BENCH_TREE), and, as its limit, does nothing but
// compress the blocks of the same tar, on all processors.
func BenchmarkPack(b *testing.B) {
	dir, _ := manyFiles(b)
	if tree := os.Getenv("GBUILD_BENCH_TREE"); tree != "" {
		dir = tree
	}
	write := func(w io.Writer) error { return WriteDiff(context.Background(), w, dir, nil, DiffOptions{}) }
	var tar bytes.Buffer
	check(b, write(&tar))
	s := newStore(b)
	for _, c := range []Compression{{}, {Level: 1}, {Algorithm: "zstd"}} {
		name := fmt.Sprintf("%s-%d", c.algorithm(), c.Level)
		codec, err := c.codec()
		check(b, err)
		b.Run(name+"/alone", func(b *testing.B) {
			b.SetBytes(int64(tar.Len()))
			defer processorTime(b)()
			for b.Loop() {
				compressOnly(b, codec, tar.Bytes())
			}
		})
		b.Run(name+"/layer", func(b *testing.B) {
			b.SetBytes(int64(tar.Len()))
			defer processorTime(b)()
			for b.Loop() {
				_, err := s.pack(context.Background(), packing{Compression: c, from: sendFrom}, write)
				check(b, err)
			}
		})
	}
}

// processorTime reports the time of processors too, which others on the machine change less.
func processorTime(b *testing.B) func() {
	used := func() time.Duration {
		var u unix.Rusage
		unix.Getrusage(unix.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric((used()-before).Seconds()/float64(b.N), "cpu-s/op") }
}

func compressOnly(b *testing.B, c codec, data []byte) {
	var next atomic.Int64
	var done sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		done.Go(func() {
			encode, err := c.newEncoder()
			check(b, err)
			var out bytes.Buffer
			for {
				to := int(next.Add(int64(c.blockSize())))
				from := to - c.blockSize()
				if from >= len(data) {
					return
				}
				out.Reset()
				check(b, encode(&out, data[from:min(to, len(data))], data[max(0, from-window):from]))
			}
		})
	}
	done.Wait()
}

type countingWriter int64

func (w *countingWriter) Write(p []byte) (int, error) {
	*w += countingWriter(len(p))
	return len(p), nil
}
