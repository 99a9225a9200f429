package codec

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/testimage"
)

// gzipOf compresses data as others do, at any level that the library has (-2 is Huffman only), in so many members.
func gzipOf(t testing.TB, level, members int, data []byte) []byte {
	var out bytes.Buffer
	for i := range members {
		z, err := gzip.NewWriterLevel(&out, level)
		must(t, err)
		z.Name, z.Extra = "name", []byte("extra")
		_, err = z.Write(data[i*len(data)/members : (i+1)*len(data)/members])
		must(t, err)
		must(t, z.Close())
	}
	return out.Bytes()
}

func gunzipAll(r io.Reader) ([]byte, error) {
	z, err := newGunzip(r)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func TestGunzip(t *testing.T) {
	zeros := make([]byte, 3<<20)
	text := bytes.Repeat([]byte("abcdefghijklmnopqrstuvwxyz, and again; "), 40000)
	short := bytes.Repeat([]byte("xyz"), 100000)
	mixed := append(append(testimage.Bytes(1<<20), zeros[:200000]...), text...)
	for name, data := range map[string][]byte{"empty": nil, "byte": {7}, "zeros": zeros, "text": text, "short": short, "noise": testimage.Bytes(1 << 20), "mixed": mixed} {
		for _, level := range []int{-2, 0, 1, 5, 9} {
			for _, members := range []int{1, 3} {
				packed := gzipOf(t, level, members, data)
				for how, r := range map[string]io.Reader{"at once": bytes.NewReader(packed), "halves": iotest.HalfReader(bytes.NewReader(packed)),
					"with EOF": iotest.DataErrReader(bytes.NewReader(packed))} {
					got, err := gunzipAll(r)
					if err != nil || !bytes.Equal(got, data) {
						t.Errorf("%s at level %d, %d members, %s: %d bytes, %v; want %d", name, level, members, how, len(got), err, len(data))
					}
				}
			}
		}
	}
}

// TestGunzipCut gives every beginning of a file, and expects what is known of it, but no end.
func TestGunzipCut(t *testing.T) {
	data := append(testimage.Bytes(300), bytes.Repeat([]byte("abcd"), 300)...)
	for _, level := range []int{-2, 0, 6} {
		packed := gzipOf(t, level, 1, data)
		for n := range packed {
			got, err := gunzipAll(iotest.OneByteReader(bytes.NewReader(packed[:n])))
			if err != io.ErrUnexpectedEOF || !bytes.HasPrefix(data, got) {
				t.Errorf("level %d, %d of %d bytes: %d bytes and %v", level, n, len(packed), len(got), err)
			}
		}
		broken := fmt.Errorf("broken")
		_, err := gunzipAll(io.MultiReader(bytes.NewReader(packed[:len(packed)/2]), iotest.ErrReader(broken)))
		if err != broken {
			t.Errorf("level %d: the reader's error became %v", level, err)
		}
	}
}

// inflateAll decodes what has no frame of gzip.
func inflateAll(from io.Reader) (all []byte, err error) {
	f := newInflater(from)
	for err == nil && len(all) < 16<<20 {
		f.slide()
		from := f.w
		err = f.inflate()
		all = append(all, f.out[from:f.w]...)
	}
	if err == io.EOF {
		err = nil
	}
	return all, err
}

// FuzzInflate holds the decoder against another, without and with the frame of gzip: the same bytes, or an error of both.
func FuzzInflate(f *testing.F) {
	for _, level := range []int{-2, 0, 1, 6} {
		packed := gzipOf(f, level, 2, append(testimage.Bytes(500), bytes.Repeat([]byte("abc"), 500)...))
		f.Add(packed)
		f.Add(packed[10+7+5:])
		f.Add(gzipOf(f, level, 1, nil))
	}
	f.Add([]byte{0xed, 0xc0, 0x81, 0, 0, 0, 0, 0x80, 0x20, 0xd6, 0xfc, 0x25, 0x66, 0x38, 0x80, 0xaa, 0x6f, 0x4e}) // one distance code
	same := func(t *testing.T, got []byte, err error, want []byte, wantErr error) {
		t.Helper()
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%d bytes and %v, want %d and %v", len(got), err, len(want), wantErr)
		}
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), 16<<20))
		got, err := inflateAll(iotest.HalfReader(bytes.NewReader(packed)))
		if len(want) < 16<<20 {
			same(t, got, err, want, wantErr)
		}
		z, wantErr := gzip.NewReader(bytes.NewReader(packed))
		if want = nil; wantErr == nil {
			want, wantErr = io.ReadAll(z)
		}
		got, err = gunzipAll(iotest.OneByteReader(bytes.NewReader(packed)))
		same(t, got, err, want, wantErr)
	})
}

// BenchmarkGunzip decodes a file (text and noise, or $GBUILD_BENCH_GZIP), and, to compare, lets the library do it.
func BenchmarkGunzip(b *testing.B) {
	packed := gzipOf(b, 6, 1, testimage.Bytes(16<<20))
	if name := os.Getenv("GBUILD_BENCH_GZIP"); name != "" {
		var err error
		packed, err = os.ReadFile(name)
		must(b, err)
	}
	for name, open := range map[string]func() (io.Reader, error){
		"gunzip":  func() (io.Reader, error) { return newGunzip(bytes.NewReader(packed)) },
		"library": func() (io.Reader, error) { return gzip.NewReader(bytes.NewReader(packed)) },
	} {
		b.Run(name, func(b *testing.B) {
			defer processorTime(b)()
			for b.Loop() {
				r, err := open()
				must(b, err)
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, make([]byte, 256<<10))
				must(b, err)
				b.SetBytes(n)
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
