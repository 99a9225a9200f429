package codec

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
)

func packXZ(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := xz.WriterConfig{BlockSize: 100_000, DictCap: 1 << 20}.NewWriter(&b)
	must(t, err)
	_, err = w.Write(text)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

// withWindow gives each block of packed data that is at one of the offsets the window of that code.
func withWindow(packed []byte, at int, code byte) []byte {
	packed = bytes.Clone(packed)
	header := packed[at : at+4*(int(packed[at])+1)]
	i := bytes.Index(header, []byte{0x21, 1})
	header[i+2] = code
	binary.LittleEndian.PutUint32(header[len(header)-4:], crc32.ChecksumIEEE(header[:len(header)-4]))
	return packed
}

func unpackXZ(packed []byte) ([]byte, error) {
	z, err := Decompress(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return io.ReadAll(z)
}

// Blocks, streams and zeros between them are read as the library reads them; a block that asks for a large window is
// refused, whichever it is.
func TestXZ(t *testing.T) {
	noise := make([]byte, 300_000)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	text := append([]byte(strings.Repeat("some text ", 50_000)), noise...)
	one := packXZ(t, text)
	two := append(append(bytes.Clone(one), 0, 0, 0, 0), packXZ(t, []byte("end"))...)
	for name, packed := range map[string][]byte{"one": one, "two": two, "none": packXZ(t, nil)} {
		z, err := xz.NewReader(bytes.NewReader(packed))
		must(t, err)
		want, err := io.ReadAll(z)
		must(t, err)
		if got, err := unpackXZ(packed); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
		}
	}
	second := bytes.LastIndex(two, []byte("\xfd7zXZ\x00")) + 12
	for name, packed := range map[string][]byte{"first": withWindow(one, 12, 40), "of the second stream": withWindow(two, second, 31)} {
		if _, err := unpackXZ(packed); err == nil || !strings.Contains(err.Error(), "128 MiB is the most") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range len(one) / 5000 {
		if _, err := unpackXZ(one[:max(n*5000, 6)]); err == nil {
			t.Errorf("the first %d bytes are whole", n*5000)
		}
	}
}
