// This file owns the files in which kaniko says what it has built, to the byte as it writes them.

package kaniko

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/gbuild/gbuild/internal/building"
	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/outfile"
	"github.com/gbuild/gbuild/pkg/remote"
)

// receipt is one of them, by the flag or the variable that names it.
type receipt struct{ flag, path, text string }

// writeReceipts writes them when the image is where it was to go.
func (l *Line) writeReceipts(ctx context.Context, r *building.Result, environ cli.Environment) error {
	digest := r.Digest.String()
	names, err := l.names()
	if err != nil {
		return err
	}
	var lines, images strings.Builder
	for _, n := range names {
		named := n.Context().Name()
		if l.NameTagFile != "" { // kaniko writes both files of the same lines
			named += ":" + n.TagStr()
		}
		fmt.Fprintf(&lines, "%s@%s\n", named, digest)
		line, err := json.Marshal(struct {
			Name   string `json:"name"`
			Digest string `json:"digest"`
		}{n.String(), digest})
		if err != nil {
			return err
		}
		fmt.Fprintf(&images, "%s\n", line)
	}
	all := []receipt{{"--digest-file", l.DigestFile, digest}, {"--image-name-with-digest-file", l.NameFile, lines.String()},
		{"--image-name-tag-with-digest-file", l.NameTagFile, lines.String()}}
	// Google Cloud Build reads what a step has pushed.
	if dir := environ.Get("BUILDER_OUTPUT"); dir != "" && !l.NoPush {
		all = append(all, receipt{"images of BUILDER_OUTPUT", filepath.Join(dir, "images"), images.String()})
	}
	for _, one := range all {
		if err := one.write(ctx); err != nil {
			return fmt.Errorf("writing %s: %w", one.flag, err)
		}
	}
	return nil
}

// names are the destinations in the form that kaniko's library gives them: those of Docker Hub begin with index.docker.io.
func (l *Line) names() (names []name.Tag, err error) {
	for _, destination := range l.Destinations {
		n, err := name.NewTag(destination, name.WeakValidation)
		if err != nil {
			return nil, cli.Usage(err)
		}
		names = append(names, n)
	}
	return names, nil
}

// write writes a file, whose directory is made, or sends it to an address, which is a signed one of a bucket.
func (r receipt) write(ctx context.Context) error {
	if r.path == "" {
		return nil
	}
	if strings.HasPrefix(r.path, "https://") {
		return put(ctx, r.path, r.text)
	}
	if err := os.MkdirAll(filepath.Dir(r.path), 0o700); err != nil {
		return err
	}
	return outfile.WriteText(ctx, r.path, r.text)
}

// put sends a text. The address may say a signature, so no error repeats it.
func put(ctx context.Context, address, text string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, address, bytes.NewReader([]byte(text)))
	if err != nil {
		return fmt.Errorf("it is no address")
	}
	req.Header.Set("Content-Type", "text/plain")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%s does not take it: %w", req.URL.Host, remote.WithoutAddress(err))
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s answered %s", req.URL.Host, resp.Status)
	}
	return nil
}
