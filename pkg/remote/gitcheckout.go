// This file owns the files of a repository: how a commit is fetched, checked out and made the same for everyone.
// The modes of files must not depend on an umask, and their times not on a clock: so both are set, to those of the commit.

package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Checkout puts the files of the source into the empty directory dir, and returns the directory of them that was asked for.
func (g *GitSource) Checkout(ctx context.Context, o Fetcher, dir string) (string, error) {
	tip, err := o.resolveGit(ctx, g)
	if err != nil {
		return "", err
	}
	if err := g.fetchInto(ctx, o, tip, dir); err != nil {
		return "", err
	}
	if _, err := o.git(ctx, g.at, dir, "checkout", "-q", "--detach", tip.commit); err != nil {
		return "", err
	}
	if g.submodules {
		if err := (&submodules{from: o, top: g.at}).update(ctx, checkout{at: g.at, dir: dir}); err != nil {
			return "", err
		}
	}
	out, err := o.git(ctx, g.at, dir, "show", "-s", "--format=%ct", "HEAD")
	if err != nil {
		return "", err
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
	if err != nil {
		return "", fmt.Errorf("reading the time of commit %s: %w", tip.commit, err)
	}
	if err := g.tidy(dir, time.Unix(seconds, 0)); err != nil {
		return "", err
	}
	return g.subdirectory(dir)
}

// fetchInto makes dir a repository that has the commit. Its address in there is one without credentials: submodules may
// be named relative to it, and a .git that is kept is read by everyone who has the image.
func (g *GitSource) fetchInto(ctx context.Context, o Fetcher, tip *gitTip, dir string) error {
	format := "sha1"
	if len(tip.object) == 64 {
		format = "sha256"
	}
	if _, err := o.git(ctx, g.at, dir, "init", "-q", "--template=", "--initial-branch=main", "--object-format="+format); err != nil {
		return err
	}
	if _, err := o.git(ctx, g.at, dir, "config", "remote.origin.url", g.at.address); err != nil {
		return err
	}
	err := o.connect(ctx, g.at, func(at *gitRemote) error { return g.fetchCommit(ctx, o, at, tip, dir) })
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, ".git", "FETCH_HEAD")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// fetchCommit fetches as little as the server lets it: the commit alone, the ref alone, or everything.
func (g *GitSource) fetchCommit(ctx context.Context, o Fetcher, at *gitRemote, tip *gitTip, dir string) (err error) {
	ref := cmp.Or(tip.ref, "HEAD")
	attempts := [][]string{
		{"--depth=1", "--no-tags", "--", at.address, tip.commit},
		{"--depth=1", "--no-tags", "--", at.address, ref},
		{"--no-tags", "--", at.address, ref},
		{"--", at.address, "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"},
	}
	if tag := tip.keptTag(); tag != "" && g.keepGit {
		attempts = append([][]string{{"--depth=1", "--no-tags", "--", at.address, "+" + tag + ":" + tag}}, attempts...)
	}
	for _, args := range attempts {
		if _, err = o.gitFetch(ctx, at, dir, append([]string{"fetch", "-q"}, args...)...); err != nil {
			continue
		}
		if _, err = o.git(ctx, at, dir, "cat-file", "-e", tip.commit+"^{commit}"); err == nil {
			return nil
		}
	}
	return err
}

// tidy removes .git unless it is kept, and gives the files modes that depend on nobody's umask and, but where the time
// of the checkout is asked for, the time of the commit.
func (g *GitSource) tidy(dir string, commit time.Time) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return g.tidyDir(root, ".", commit)
}

// tidyDir goes through a directory. A .git may be a file: that of a submodule.
func (g *GitSource) tidyDir(root *os.Root, dir string, commit time.Time) error {
	list, err := fs.ReadDir(root.FS(), dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		name := path.Join(dir, e.Name())
		if e.Name() == ".git" && !g.keepGit {
			err = root.RemoveAll(name)
		} else {
			err = g.tidyFile(root, name, commit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tidyFile gives one name its mode and time; a directory after all that is in it.
func (g *GitSource) tidyFile(root *os.Root, name string, commit time.Time) error {
	info, err := root.Lstat(name)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		err = cmp.Or(g.tidyDir(root, name, commit), root.Chmod(name, 0o755))
	case info.Mode().IsRegular():
		x := info.Mode() & 0o100
		err = root.Chmod(name, 0o644|x|x>>3|x>>6)
	}
	if err != nil || g.checkoutTime || info.Mode().Type() == fs.ModeSymlink {
		return err
	}
	return root.Chtimes(name, commit, commit)
}

// subdirectory leads to the part of the checkout that was asked for. A link on the way could lead anywhere.
func (g *GitSource) subdirectory(dir string) (string, error) {
	at := dir
	for part := range strings.SplitSeq(path.Clean("/"+g.subdir), "/") {
		at = filepath.Join(at, part)
		if info, err := os.Lstat(at); err != nil || !info.IsDir() {
			return "", fmt.Errorf("%s has no directory %q", g.at, g.subdir)
		}
	}
	return at, nil
}
