// This file owns what ADD does beyond COPY: archives are unpacked, and sources may lie elsewhere.
// Whether a file is an archive is decided by its content. What is unpacked has the owners of the archive, unless --chown says
// otherwise; what lies elsewhere is fetched by pkg/remote, and placed as any other file.

package files

import (
	"context"
	"fmt"
	"os"

	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/remote"
)

// unpack unpacks a file into the destination, if it is an archive by its content.
func (a *adder) unpack(ctx context.Context, p *pick) (bool, error) {
	f, err := p.tree.Open(p.node)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if ok, err := isArchive(f); !ok || err != nil {
		return false, err
	}
	r, err := codec.Decompress(f)
	if err != nil {
		return false, err
	}
	defer r.Close()
	// Directories on the way have no part in an octal --chmod: an archive brings its own modes.
	real, _, err := a.placer.resolve(a.copy.Dest)
	if err == nil {
		err = a.placer.onlyWay(real)
	}
	if err != nil {
		return false, err
	}
	options := rootfs.ExtractOptions{Notice: a.Notice, Alone: Linked(a.copy)}
	if a.placer.owner != nil {
		options.UID, options.GID = &a.placer.owner.uid, &a.placer.owner.gid
	}
	if err := a.unpacks(ctx, r, real, options); err != nil {
		return false, fmt.Errorf("unpacking %s: %w", p.name, err)
	}
	return true, nil
}

// remote copies a remote source to the destination.
func (a *adder) remote(ctx context.Context, r *remoteSource) error {
	if r.git != nil {
		return a.addGit(ctx, r.git)
	}
	f, n, err := a.open(ctx, r)
	if err != nil {
		return err
	}
	a.opened = append(a.opened, f.Close)
	p := &pick{tree: singleFile{f}, node: n, name: r.name}
	return a.place(ctx, p, a.copy.Unpack != nil && *a.copy.Unpack)
}

// open opens the download of a source as a file 0600 of root.
func (a *adder) open(ctx context.Context, r *remoteSource) (*os.File, *Node, error) {
	f, at, err := a.Fetcher.Open(ctx, r.url, r.checksum)
	if err != nil {
		return nil, nil, err
	}
	n, err := nodeOf(f, "/"+r.name, 0o600)
	if err == nil {
		err = setTime(f, n, at)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, n, nil
}

// addGit copies the files of a repository.
func (a *adder) addGit(ctx context.Context, g *remote.GitSource) (err error) {
	scratch, err := newScratchDir(a.Store.Dir())
	if err != nil {
		return err
	}
	a.opened = append(a.opened, scratch.remove)
	sub, err := g.Checkout(ctx, a.Fetcher, scratch.path)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(sub)
	if err != nil {
		return err
	}
	tree := newDirTree(root, nil)
	a.opened = append(a.opened, root.Close, func() error { tree.dirs.close(); return nil })
	top, err := tree.Lstat("/")
	if err != nil {
		return err
	}
	f, err := newFilter(nil, a.copy.Exclude)
	if err != nil {
		return err
	}
	return a.place(ctx, &pick{tree: tree, node: top, filter: f}, false)
}
