// This file owns sources of an ADD that lie elsewhere: what names their content.

package files

import (
	"context"
	"errors"
	"net/url"
	"path"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/remote"
)

// remoteSource is a source of an ADD that is not in the context.
type remoteSource struct {
	git      *remote.GitSource
	url      string
	name     string // the name that the file gets
	checksum string
}

// parseRemote reads a source of an ADD; nil where it is a path.
func parseRemote(c *dockerfile.Copy, source string) (*remoteSource, error) {
	ref, isGit, err := dfgitutil.ParseGitRef(source)
	if err != nil && isGit {
		return nil, remote.WithoutAddress(err)
	}
	isGit = err == nil && !ref.IndistinguishableFromLocal
	isURL := strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://")
	switch {
	// These messages are BuildKit's, word for word.
	case !isGit && !isURL && c.Checksum != "":
		return nil, errors.New("checksum requires HTTP(S) or Git sources")
	case !isGit && !isURL:
		return nil, nil
	case !c.Add && isGit:
		return nil, errors.New("source can't be a git ref for COPY")
	case !c.Add:
		return nil, errors.New("source can't be a URL for COPY")
	case isGit:
		g, err := remote.NewGitSource(ref, c.KeepGit, c.Checksum)
		return &remoteSource{git: g}, err
	}
	return &remoteSource{url: source, name: urlName(source), checksum: c.Checksum}, nil
}

// urlName is what the file of a URL is called.
func urlName(source string) string {
	if u, err := url.Parse(source); err == nil {
		if base := path.Base(u.Path); base != "." && base != "/" {
			return base
		}
	}
	// BuildKit has the same name for an address without a path.
	return "__unnamed__"
}

// identity returns what names the content of the source.
func (r *remoteSource) identity(ctx context.Context, o remote.Fetcher) ([]string, error) {
	if r.git != nil {
		return r.git.Identity(ctx, o)
	}
	sum, err := o.Digest(ctx, r.url, r.checksum)
	if err != nil {
		return nil, err
	}
	// The address is no part of it: the same bytes under the same name are the same source, wherever they lie.
	return []string{"url", r.name, sum.String()}, nil
}
