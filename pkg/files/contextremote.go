// This file owns contexts that are no directory: archives, URLs, git repositories and the standard input.

package files

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/remote"
)

// fromStream tells a tar from a Dockerfile by its first bytes.
func (c *Context) fromStream(ctx context.Context, r io.Reader) error {
	if r == nil {
		return errors.New("there is no standard input")
	}
	// Standard input can be read once, and has one meaning.
	if c.options.Dockerfile == "-" {
		return errors.New("the context and the Dockerfile cannot both be the standard input")
	}
	in, isTar, err := sniff(r)
	if err != nil {
		return err
	}
	if isTar {
		return c.unpack(ctx, in)
	}
	// No tar, so it is a Dockerfile. The context then has no file at all.
	if err := c.empty(); err != nil {
		return err
	}
	c.dockerfile, err = readLimited(in)
	return err
}

// sniff says whether r is a tar, compressed or not, and returns all of it.
func sniff(r io.Reader) (all io.Reader, isTar bool, err error) {
	in := bufio.NewReaderSize(r, 1<<20) // more than the first block of any compression
	head, err := in.Peek(in.Size())
	// io.EOF only says that there is less than the buffer holds.
	if err != nil && err != io.EOF {
		return nil, false, err
	}
	return in, startsTar(bytes.NewReader(head)), nil
}

// empty makes the context a directory with nothing in it.
func (c *Context) empty() (err error) {
	if c.scratch, err = newScratchDir(c.options.StateDir); err != nil {
		return err
	}
	return c.open(c.scratch.path)
}

// unpack makes the context what is in an archive.
func (c *Context) unpack(ctx context.Context, r io.Reader) error {
	if err := c.empty(); err != nil {
		return err
	}
	plain, err := codec.Decompress(r)
	if err != nil {
		return err
	}
	defer plain.Close()
	if err := unpackTar(ctx, plain, c.root); err != nil {
		return err
	}
	if err := codec.ReadToEnd(plain); err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	if c.options.Subdir == "" {
		return nil
	}
	return c.descend(c.options.Subdir)
}

// descend makes the context one directory of what was unpacked. A link on the way leads nowhere else.
func (c *Context) descend(dir string) error {
	n, err := follow(c.raw, path.Clean("/"+filepath.ToSlash(dir)), true)
	if err == nil && !n.IsDir() {
		err = errors.New("it is no directory")
	}
	if err != nil {
		return fmt.Errorf("directory %s of the context: %w", dir, err)
	}
	c.raw.dirs.close()
	c.tree.dirs.close()
	if err := c.root.Close(); err != nil {
		return err
	}
	return c.open(filepath.Join(c.scratch.path, n.Path))
}

// FetchDockerfile reads a Dockerfile that the user names by its URL.
func (o ContextOptions) FetchDockerfile(ctx context.Context, address string) ([]byte, error) {
	failed := func(err error) error {
		return fmt.Errorf("fetching Dockerfile %s: %w", dockerfile.Redact(address), err)
	}
	res, err := o.remote().Ask(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, failed(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, failed(remote.BadStatus(res.StatusCode))
	}
	text, err := readLimited(res.Body)
	if err != nil {
		return nil, failed(err)
	}
	return text, nil
}

// fromURL opens what a web server has: an archive, or else a Dockerfile.
func (c *Context) fromURL(ctx context.Context, address string) error {
	res, err := c.options.remote().Ask(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return remote.BadStatus(res.StatusCode)
	}
	// A header that is missing or wrong leaves the zero time, which stands for unknown.
	c.modified, _ = http.ParseTime(res.Header.Get("Last-Modified"))
	in, isTar, err := sniff(res.Body)
	if err != nil {
		return err
	}
	if isTar {
		return c.unpack(ctx, in)
	}
	return c.keep(in)
}

// keep makes the context one file, which is called as BuildKit calls it.
func (c *Context) keep(r io.Reader) (err error) {
	if err := c.empty(); err != nil {
		return err
	}
	c.only = "context"
	f, err := c.root.OpenFile(c.only, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err := cmp.Or(err, f.Close()); err != nil {
		return err
	}
	at := c.modified
	// Without a date the file is of 1970, so that two fetches of the same bytes are the same context.
	if at.IsZero() {
		at = time.Unix(0, 0)
	}
	return c.root.Chtimes(c.only, at, at)
}

// remote is what fetches a context, with the rights that its origin has.
func (o ContextOptions) remote() remote.Fetcher {
	return remote.Fetcher{Secret: o.Secret, Environ: o.Environ, LocalNetwork: o.LocalNetwork, Named: !o.FromDockerfile, SSH: remote.GrantOf(o.Agent),
		Bounds: remote.Bounds{Bytes: o.MaxDownload}}
}

// fromGit opens a repository. One that the user named is fetched with his own agent and keys.
func (c *Context) fromGit(ctx context.Context, ref *dfgitutil.GitRef) (err error) {
	keep := &c.options.KeepGit
	// An address that says itself whether .git stays is not overruled by the option.
	if ref.KeepGitDir != nil {
		keep = nil
	}
	g, err := remote.NewGitSource(ref, keep, "")
	if err != nil {
		return err
	}
	if c.scratch, err = newScratchDir(c.options.StateDir); err != nil {
		return err
	}
	o := c.options.remote()
	// A repository that a Dockerfile names gets nothing that --ssh has not given.
	if o.SSH == nil && o.Named {
		o.SSH = g.OwnGrant(o.Environ)
	}
	dir, err := g.Checkout(ctx, o, c.scratch.path)
	if err != nil {
		return err
	}
	return c.open(dir)
}
