// Compression, what the user says of how layers are compressed, and the media types that stand for it.

package codec

import (
	"fmt"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gbuild/gbuild/internal/hint"
)

// Compression says how layers are compressed.
type Compression struct {
	Algorithm string // "gzip", "zstd", "estargz" or "none"; "" is gzip
	Level     int    // 1 to 9 for gzip and estargz, 1 to 22 for zstd; 0 is the default of the algorithm
	Force     bool   // the layers of base images are compressed so, too
}

// Name returns the algorithm, also where it was not named.
func (c Compression) Name() string {
	if c.Algorithm == "" {
		return "gzip"
	}
	return c.Algorithm
}

// MediaType returns the media type of such a layer.
func (c Compression) MediaType() types.MediaType {
	switch c.Name() {
	case "zstd":
		return types.OCILayerZStd
	case "none":
		return types.OCIUncompressedLayer
	}
	return types.OCILayer
}

// AlgorithmOf returns the algorithm that the media type of a layer stands for. It is "" for a layer that must not be
// changed, such as one that may not be distributed.
func AlgorithmOf(t types.MediaType) string {
	switch t {
	case types.OCILayer, types.DockerLayer:
		return "gzip"
	case types.OCILayerZStd:
		return "zstd"
	case types.OCIUncompressedLayer, types.DockerUncompressedLayer:
		return "none"
	}
	return ""
}

// What level 0 is.
const (
	defaultGzip = 5
	defaultZstd = 3
)

// format returns the format, or says what of the compression there is not.
func (c Compression) format() (format, error) {
	switch c.Name() {
	case "gzip", "estargz":
		level := c.Level
		if level == 0 {
			level = defaultGzip
		}
		if level < 1 || level > 9 {
			return nil, fmt.Errorf("compressing with %s: level %d is not between 1 and 9", c.Name(), c.Level)
		}
		if c.Algorithm == "estargz" {
			return stargzFormat(level), nil
		}
		return gzipFormat(level), nil
	case "zstd":
		level := c.Level
		if level == 0 {
			level = defaultZstd
		}
		if level < 1 || level > 22 {
			return nil, fmt.Errorf("compressing with zstd: level %d is not between 1 and 22", c.Level)
		}
		return zstdFormat(level), nil
	case "none":
		return plainFormat{}, nil
	}
	return nil, hint.Errorf("use gzip, zstd, estargz or none", "unknown compression %q", c.Algorithm)
}
