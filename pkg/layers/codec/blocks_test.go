package codec

import (
	"bytes"
	"io"
	"math"
	"os"
	"runtime"
	"testing"

	"github.com/gbuild/gbuild/internal/testimage"
)

func newBlocks(t *testing.T, c Compression) *Blocks {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	must(t, err)
	b, err := NewBlocks(c, nil, f)
	must(t, err)
	t.Cleanup(b.Close)
	return b
}

// A guess takes nothing of the last room on a disk.
func TestBlocksLeaveRoom(t *testing.T) {
	b := newBlocks(t, Compression{Level: 1})
	j := &job{in: []byte("in")}
	j.out.WriteString("out")
	must(t, b.put(j))
	b.spare = math.MaxUint64
	if err := b.put(j); err == nil {
		t.Error("a block was written to a full disk")
	}
}

// A compressor that is told where files are writes what can be read, the same with any number of processors, and the same
// whether their blocks were made ahead, for the most part or in part.
func TestCompressorCut(t *testing.T) {
	data := testimage.Bytes(5<<20 + 3)
	from, to := 1<<20+77, 4<<20+99
	for _, c := range []Compression{{}, {Level: 9}, {Algorithm: "zstd"}, {Algorithm: "none"}} {
		ahead := func(n int) *Blocks {
			b := newBlocks(t, c)
			must(t, b.Add(bytes.NewReader(data[from:from+n]), nil))
			return b
		}
		var want []byte
		for i, b := range []*Blocks{nil, ahead(0), ahead(to - from), ahead(1 << 20), ahead(2<<20 + 1)} {
			for _, procs := range []int{1, 2, 7} {
				before := runtime.GOMAXPROCS(procs)
				var buf bytes.Buffer
				_, err := Compress(&buf, c, Options{Blocks: b}, func(w io.Writer) error {
					w.Write(data[:from])
					w.(FileWriter).StartFile()
					w.Write(data[from:to])
					w.(FileWriter).EndFile()
					_, err := w.Write(data[to:])
					return err
				})
				runtime.GOMAXPROCS(before)
				must(t, err)
				if want == nil {
					want = buf.Bytes()
				}
				if !bytes.Equal(buf.Bytes(), want) {
					t.Errorf("%+v: other bytes with blocks %d and %d processors", c, i, procs)
				}
			}
			if b != nil && i == 2 && b.Len() > 0 {
				t.Errorf("%+v: %d blocks were not used", c, b.Len())
			}
		}
		r, err := Decompress(bytes.NewReader(want))
		must(t, err)
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%+v: got %d bytes, %v", c, len(got), err)
		}
	}
}
