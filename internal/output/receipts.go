// This file owns the small files from which scripts read what was built.

package output

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/outfile"
)

// Receipts are the paths of those files; an empty one is not wanted.
type Receipts struct {
	ID, Digest string
	Metadata   string // JSON, with the names that docker buildx gives
}

// Write writes them for an image with these names; for no image, as of an output of files, the metadata alone.
func (r Receipts) Write(ctx context.Context, img v1.Image, names []string) error {
	if img == nil {
		return writeText(ctx, "--metadata-file", r.Metadata, "{}\n")
	}
	id, err := img.ConfigName()
	if err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	if err := errors.Join(writeText(ctx, "--iidfile", r.ID, id.String()), writeText(ctx, "--digest-file", r.Digest, digest.String())); err != nil || r.Metadata == "" {
		return err
	}
	m, err := metadata(img, digest, id)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		m["image.name"] = strings.Join(names, ",")
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeText(ctx, "--metadata-file", r.Metadata, string(text)+"\n")
}

// metadata is what docker buildx writes of an image, its names aside.
func metadata(img v1.Image, digest, id v1.Hash) (map[string]any, error) {
	mediaType, err := img.MediaType()
	if err != nil {
		return nil, err
	}
	size, err := img.Size()
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"containerimage.digest":        digest,
		"containerimage.config.digest": id,
		"containerimage.descriptor": v1.Descriptor{MediaType: mediaType, Digest: digest, Size: size, Annotations: map[string]string{
			"config.digest": id.String(), "org.opencontainers.image.created": config.Created.UTC().Format(time.RFC3339)}},
	}, nil
}

// writeText writes the file that a flag names, if it does.
func writeText(ctx context.Context, flag, path, text string) error {
	if path == "" {
		return nil
	}
	if err := outfile.WriteText(ctx, path, text); err != nil {
		return fmt.Errorf("writing %s: %w", flag, err)
	}
	return nil
}
