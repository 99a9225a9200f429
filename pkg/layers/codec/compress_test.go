package codec

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/internal/testimage"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func compressAll(t testing.TB, data []byte, c Compression) []byte {
	return compressWith(t, data, c, Options{})
}

func compressWith(t testing.TB, data []byte, c Compression, o Options) []byte {
	var buf bytes.Buffer
	made, err := Compress(&buf, c, o, func(w io.Writer) error {
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 100_000)
			if _, err := w.Write(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	})
	must(t, err)
	if made.DiffID.Hex != fmt.Sprintf("%x", sha256.Sum256(data)) {
		t.Error("the digest of the input is wrong")
	}
	return buf.Bytes()
}

// The result does not depend on what an encoder was used for before.
func TestCompressorWithUsedEncoders(t *testing.T) {
	all, used := testimage.Bytes(3<<20), Options{Encoders: &Encoders{}}
	for _, c := range []Compression{{}, {Level: 1}, {Algorithm: "zstd"}, {Algorithm: "none"}} {
		for n := range 3 {
			data := all[n<<20 : 3<<20-n]
			if !bytes.Equal(compressWith(t, data, c, used), compressAll(t, data, c)) {
				t.Errorf("%+v: another result at the use %d", c, n)
			}
		}
	}
}

func TestCompressor(t *testing.T) {
	all := testimage.Bytes(4<<20 + 12345)
	for _, c := range []Compression{{}, {Level: 1}, {Algorithm: "zstd"}, {Algorithm: "zstd", Level: 10}, {Algorithm: "none"}} {
		for _, n := range []int{0, 1, 1<<20 - 1, 1 << 20, len(all)} {
			data := all[:n]
			packed := compressAll(t, data, c)
			r, err := Decompress(bytes.NewReader(packed))
			must(t, err)
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%+v of %d bytes: got %d bytes, %v", c, n, len(got), err)
			}
			for _, procs := range []int{1, 2, 7} {
				before := runtime.GOMAXPROCS(procs)
				other := compressAll(t, data, c)
				runtime.GOMAXPROCS(before)
				if !bytes.Equal(other, packed) {
					t.Errorf("%+v of %d bytes: another result with %d processors", c, n, procs)
				}
			}
		}
	}
}

// What others use to unpack layers can.
func TestCompressorForOthers(t *testing.T) {
	data := testimage.Bytes(5<<20 + 1)
	z, err := gzip.NewReader(bytes.NewReader(compressAll(t, data, Compression{})))
	must(t, err)
	if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, data) {
		t.Errorf("compress/gzip: %v", err)
	}
	for _, tool := range []string{"gzip", "zstd"} {
		for _, n := range []int{0, len(data)} {
			if _, err := exec.LookPath(tool); err != nil {
				t.Logf("%s is not here", tool)
				continue
			}
			cmd := exec.Command(tool, "-dc")
			cmd.Stdin = bytes.NewReader(compressAll(t, data[:n], Compression{Algorithm: tool}))
			if got, err := cmd.Output(); err != nil || !bytes.Equal(got, data[:n]) {
				t.Errorf("%s of %d bytes: %v", tool, n, err)
			}
		}
	}
}

func TestCompressionRefused(t *testing.T) {
	for _, c := range []Compression{{Algorithm: "rar"}, {Level: 12}, {Algorithm: "zstd", Level: 99}} {
		if _, err := c.format(); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

type brokenWriter struct{ left int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestCompressorFails(t *testing.T) {
	var copyErr error
	_, err := Compress(&brokenWriter{1000}, Compression{}, Options{}, func(w io.Writer) error {
		_, copyErr = io.Copy(w, bytes.NewReader(testimage.Bytes(20<<20)))
		return nil
	})
	if err == nil || copyErr == nil {
		t.Errorf("the disk is full: %v, %v", copyErr, err)
	}
}

func TestDecompressTools(t *testing.T) {
	for _, tool := range []string{"gzip", "bzip2", "xz", "zstd", "cat"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Logf("%s is not here", tool)
			continue
		}
		cmd := exec.Command(tool, "-c")
		if tool == "cat" {
			cmd.Args = []string{tool}
		}
		cmd.Stdin = strings.NewReader(strings.Repeat("hello ", 1000))
		packed, err := cmd.Output()
		must(t, err)
		r, err := Decompress(bytes.NewReader(packed))
		must(t, err)
		got, err := io.ReadAll(r)
		if err != nil || len(got) != 6000 {
			t.Errorf("%s: %d bytes, %v", tool, len(got), err)
		}
		must(t, r.Close())
		if tool == "cat" {
			continue
		}
		if r, err = Decompress(bytes.NewReader(packed[:len(packed)-2])); err == nil {
			_, err = io.ReadAll(r)
		}
		if err == nil {
			t.Errorf("%s: cut data is accepted", tool)
		}
	}
}

// An algorithm that was not named is in the message all the same.
func TestCodecErrors(t *testing.T) {
	for c, want := range map[Compression]string{{Level: 10}: "gzip: level 10", {Algorithm: "estargz", Level: 10}: "estargz: level 10",
		{Algorithm: "zstd", Level: 23}: "zstd: level 23", {Algorithm: "rar"}: `"rar"`} {
		if _, err := c.format(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func BenchmarkCompress(b *testing.B) {
	data := testimage.Bytes(64 << 20)
	for _, c := range []Compression{{Level: 1}, {Level: 3}, {Level: 5}, {Level: 6}, {Algorithm: "zstd"}, {Algorithm: "none"}} {
		b.Run(fmt.Sprintf("%s-%d", c.Name(), c.Level), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			var out int64
			for b.Loop() {
				var w countingWriter
				_, err := Compress(&w, c, Options{}, func(to io.Writer) error {
					_, err := to.Write(data)
					return err
				})
				must(b, err)
				out = int64(w)
			}
			b.ReportMetric(float64(out)/float64(len(data)), "ratio")
		})
	}
}

type countingWriter int64

func (w *countingWriter) Write(p []byte) (int, error) {
	*w += countingWriter(len(p))
	return len(p), nil
}
