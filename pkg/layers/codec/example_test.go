package codec_test

import (
	"bytes"
	"fmt"
	"io"
	"log"

	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// What is compressed is read again, whatever it was compressed with: Decompress looks at the first bytes.
func ExampleCompress() {
	for _, algorithm := range []string{"gzip", "zstd", "none"} {
		var blob bytes.Buffer
		made, err := codec.Compress(&blob, codec.Compression{Algorithm: algorithm}, codec.Options{}, func(w io.Writer) error {
			_, err := io.WriteString(w, "the tar of a layer")
			return err
		})
		if err != nil {
			log.Fatal(err)
		}
		r, err := codec.Decompress(&blob)
		if err != nil {
			log.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s, %s\n", algorithm, text, made.DiffID.Hex[:12])
	}
	// Output:
	// gzip: the tar of a layer, 975c09563722
	// zstd: the tar of a layer, 975c09563722
	// none: the tar of a layer, 975c09563722
}
