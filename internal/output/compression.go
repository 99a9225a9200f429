// This file owns how the layers of the image are compressed: one way, which all outputs share.

package output

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// Compression is what --compression and --compression-level say, or the fields of one -o. The zero value asks for nothing.
type Compression struct {
	Algorithm, Level string
	Force            bool // The layers of the base are compressed so, too.
}

// parse returns nil where nothing is asked for.
func (asked Compression) parse() (*codec.Compression, error) {
	if asked == (Compression{}) {
		return nil, nil
	}
	c := &codec.Compression{Algorithm: "gzip", Force: asked.Force}
	switch asked.Algorithm {
	case "", "gzip":
	case "zstd":
		c.Algorithm = "zstd"
	case "estargz":
		if c.Algorithm = "estargz"; c.Force {
			return nil, hint.Errorf("without force-compression they keep their bytes",
				"force-compression with compression=estargz: an eStargz layer has another tar, and those of the base keep theirs")
		}
	case "uncompressed", "none":
		c.Algorithm = "none"
	default:
		return nil, fmt.Errorf("compression=%s: it is gzip, zstd, estargz or uncompressed", asked.Algorithm)
	}
	most := map[string]int{"gzip": 9, "estargz": 9, "zstd": 22, "none": 22}[c.Algorithm]
	if asked.Level != "" {
		n, err := strconv.Atoi(asked.Level)
		if err != nil || n < 0 || n > most {
			return nil, fmt.Errorf("compression-level=%s: for %s it is 0 to %d", asked.Level, c.Algorithm, most)
		}
		if c.Level = n; n == 0 && most == 9 {
			c.Level = 1 // 0 is gzip's word for no compression at all; uncompressed has a media type of its own
		}
	}
	if c.Algorithm == "none" {
		c.Level = 0
	}
	return c, nil
}

// CompressionOf is that of the one image that all outputs share: as asked for all of them, or by one of them.
func CompressionOf(asked Compression, outputs []*Output) (codec.Compression, error) {
	c, err := asked.parse()
	if err != nil {
		return codec.Compression{}, fmt.Errorf("--%w", err)
	}
	for _, out := range outputs {
		if out.compression == nil {
			continue
		}
		if c != nil && *c != *out.compression {
			return *c, errors.New("--output: all outputs share the layers of one image, so they have one compression and level")
		}
		c = out.compression
	}
	if c == nil {
		c = &codec.Compression{Algorithm: "gzip"}
	}
	for _, out := range outputs {
		if c.Algorithm == "zstd" && out.dockerTypes {
			return *c, fmt.Errorf("--output type=%s: compression=zstd needs oci-mediatypes=true: Docker's media types have no name for it", out.kind.name)
		}
	}
	return *c, nil
}
