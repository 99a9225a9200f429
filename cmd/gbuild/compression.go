package main

import (
	"fmt"
	"strconv"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// setCompression reads compression, compression-level and force-compression of an output.
func (out *output) setCompression() (err error) {
	force := false
	if err := setBool(out.fields, "force-compression", &force); err != nil {
		return err
	}
	out.compression, err = parseCompression(out.fields["compression"], out.fields["compression-level"], force)
	return err
}

// parseCompression returns nil where nothing is asked for.
func parseCompression(algorithm, level string, force bool) (*codec.Compression, error) {
	if algorithm == "" && level == "" && !force {
		return nil, nil
	}
	c := &codec.Compression{Algorithm: "gzip", Force: force}
	switch algorithm {
	case "", "gzip":
	case "zstd":
		c.Algorithm = algorithm
	case "estargz":
		if c.Algorithm = algorithm; force {
			return nil, hint.Errorf("without force-compression they keep their bytes",
				"force-compression with compression=estargz: an eStargz layer has another tar, and those of the base keep theirs")
		}
	case "uncompressed", "none":
		c.Algorithm = "none"
	default:
		return nil, fmt.Errorf("compression=%s: it is gzip, zstd, estargz or uncompressed", algorithm)
	}
	most := map[string]int{"gzip": 9, "estargz": 9, "zstd": 22, "none": 22}[c.Algorithm]
	if level != "" {
		n, err := strconv.Atoi(level)
		if err != nil || n < 0 || n > most {
			return nil, fmt.Errorf("compression-level=%s: for %s it is 0 to %d", level, c.Algorithm, most)
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

// compressionOf is that of the one image that all outputs share.
func compressionOf(o *buildOptions, outputs []output) (codec.Compression, error) {
	c, err := parseCompression(o.compression, o.compressionLevel, o.forceCompression)
	if err != nil {
		return codec.Compression{}, usagef("--%w", err)
	}
	for _, out := range outputs {
		if out.compression == nil {
			continue
		}
		if c != nil && *c != *out.compression {
			return *c, usagef("--output: all outputs share the layers of one image, so they have one compression and level")
		}
		c = out.compression
	}
	if c == nil {
		c = &codec.Compression{Algorithm: "gzip"}
	}
	for _, out := range outputs {
		if c.Algorithm == "zstd" && out.docker {
			return *c, usagef("--output type=%s: compression=zstd needs oci-mediatypes=true: Docker's media types have no name for it", out.kind)
		}
	}
	return *c, nil
}
