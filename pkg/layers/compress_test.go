package layers

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// someBytes are as compressible as libraries are.
func someBytes(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, n)
	for i := 0; i < n; {
		if i > 4096 && r.IntN(3) > 0 {
			from, size := i-1-r.IntN(min(i-1, 60000)), 4+r.IntN(60)
			i += copy(data[i:min(n, i+size)], data[from:])
			continue
		}
		for range 16 {
			if i < n {
				data[i] = byte(r.IntN(64))
				i++
			}
		}
	}
	return data
}

func compressAll(t testing.TB, data []byte, c Compression) []byte {
	return compressWith(t, data, c, nil)
}

func compressWith(t testing.TB, data []byte, c Compression, e *encoders) []byte {
	codec, err := c.codec()
	check(t, err)
	var buf bytes.Buffer
	z := newCompressor(&buf, codec)
	z.encoders = e
	for rest := data; len(rest) > 0; {
		n := min(len(rest), 100_000)
		_, err := z.Write(rest[:n])
		check(t, err)
		rest = rest[n:]
	}
	sum, err := z.finish()
	check(t, err)
	if sum.Hex != fmt.Sprintf("%x", sha256.Sum256(data)) {
		t.Error("the digest of the input is wrong")
	}
	return buf.Bytes()
}

// The result does not depend on what an encoder was used for before.
func TestCompressorWithUsedEncoders(t *testing.T) {
	all, used := someBytes(3<<20), &encoders{}
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
	all := someBytes(4<<20 + 12345)
	for _, c := range []Compression{{}, {Level: 1}, {Algorithm: "zstd"}, {Algorithm: "zstd", Level: 10}, {Algorithm: "none"}} {
		for _, n := range []int{0, 1, 1<<20 - 1, 1 << 20, len(all)} {
			data := all[:n]
			packed := compressAll(t, data, c)
			r, err := Decompress(bytes.NewReader(packed))
			check(t, err)
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
	data := someBytes(5<<20 + 1)
	z, err := gzip.NewReader(bytes.NewReader(compressAll(t, data, Compression{})))
	check(t, err)
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
		if _, err := c.codec(); err == nil {
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
	codec, _ := Compression{}.codec()
	z := newCompressor(&brokenWriter{1000}, codec)
	_, err := io.Copy(z, bytes.NewReader(someBytes(20<<20)))
	_, finishErr := z.finish()
	if err == nil || finishErr == nil {
		t.Errorf("the disk is full: %v, %v", err, finishErr)
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
		check(t, err)
		r, err := Decompress(bytes.NewReader(packed))
		check(t, err)
		got, err := io.ReadAll(r)
		if err != nil || len(got) != 6000 {
			t.Errorf("%s: %d bytes, %v", tool, len(got), err)
		}
		check(t, r.Close())
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

// A layer is never in memory.
func TestLayerMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 300 MB")
	}
	s := newStore(t)
	d, err := s.Draft(t.Context(), Key{})
	check(t, err)
	block := someBytes(32 << 20)
	f, err := os.Create(d.Dir() + "/big")
	check(t, err)
	for range 4 {
		_, err := f.Write(block)
		check(t, err)
	}
	check(t, f.Truncate(300<<20))
	check(t, f.Close())
	block = nil
	check(t, d.Commit(t.Context(), keyOf("big")))
	runtime.GC()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(32))
	for _, c := range []Compression{{Level: 1}, {Algorithm: "zstd"}} {
		before := resident(t)
		all, _, err := s.Layers(t.Context(), keyOf("big"), LayerOptions{Compression: c})
		check(t, err)
		if used := resident(t) - before; used > 100 {
			t.Errorf("making a layer of 300 MB by %s took %d MB of memory", c.algorithm(), used)
		}
		if size, _ := all[0].Size(); size > 250<<20 || size < 10<<20 {
			t.Errorf("size %d", size)
		}
	}
}

// resident returns the peak of the memory of this process in MB.
func resident(t *testing.T) int {
	data, err := os.ReadFile("/proc/self/status")
	check(t, err)
	for _, line := range strings.Split(string(data), "\n") {
		var kb int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	t.Skip("no VmHWM")
	return 0
}

// An algorithm that was not named is in the message all the same.
func TestCodecErrors(t *testing.T) {
	for c, want := range map[Compression]string{{Level: 10}: "gzip: level 10", {Algorithm: "estargz", Level: 10}: "estargz: level 10",
		{Algorithm: "zstd", Level: 23}: "zstd: level 23", {Algorithm: "rar"}: `"rar"`} {
		if _, err := c.codec(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
