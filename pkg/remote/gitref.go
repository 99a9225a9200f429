// This file owns what a ref means: which commit it is on the server, by the rules of BuildKit.
// Servers list refs; what a short name means among them is decided here, and not by the version of git.

package remote

import (
	"cmp"
	"context"
	"fmt"
	"strings"
)

// gitTip is what a ref leads to.
type gitTip struct {
	commit string
	object string // the same, or the annotated tag that leads to it
	ref    string // its full name on the server; empty where a commit was asked for
}

// keptTag is the tag that a .git which is kept has, so that "git describe" says there what it says elsewhere.
func (t *gitTip) keptTag() string {
	if strings.HasPrefix(t.ref, "refs/tags/") {
		return t.ref
	}
	return ""
}

// validRef follows git-check-ref-format(1), and refuses a leading dash besides.
func validRef(ref string) bool {
	if strings.HasPrefix(ref, "-") || strings.HasPrefix(ref, "/") || strings.HasSuffix(ref, "/") || strings.HasSuffix(ref, ".lock") {
		return false
	}
	if strings.Contains(ref, "..") || strings.Contains(ref, "@{") || strings.ContainsAny(ref, " ~^:?*[\\\x7f") {
		return false
	}
	return !strings.ContainsFunc(ref, func(r rune) bool { return r < ' ' })
}

// resolveGit returns what the ref of a repository is now, once in a build, and holds it to the checksum.
func (o Fetcher) resolveGit(ctx context.Context, g *GitSource) (*gitTip, error) {
	if g.byChecksum {
		return g.named()
	}
	tip, err := o.Fetched.tip(g.at.given+" "+g.ref, func() (*gitTip, error) { return g.resolve(ctx, o) })
	if err != nil {
		return nil, err
	}
	if g.checksum != "" && !strings.HasPrefix(tip.commit, g.checksum) && !strings.HasPrefix(tip.object, g.checksum) {
		return nil, fmt.Errorf("%s of %s is commit %s, --checksum wants %s", cmp.Or(g.ref, "HEAD"), g.at, tip.commit, g.checksum)
	}
	return tip, nil
}

// named is the commit that the source itself says. Its ref is a name without a server's word for it.
func (g *GitSource) named() (*gitTip, error) {
	if fullCommit().MatchString(g.ref) {
		if !strings.HasPrefix(g.ref, g.checksum) {
			return nil, fmt.Errorf("%s is not what --checksum wants, %s", g.ref, g.checksum)
		}
		return &gitTip{commit: g.ref, object: g.ref}, nil
	}
	return &gitTip{commit: g.checksum, object: g.checksum}, nil
}

// resolve asks the server for a ref. A whole commit names itself.
func (g *GitSource) resolve(ctx context.Context, o Fetcher) (tip *gitTip, err error) {
	if fullCommit().MatchString(g.ref) {
		return &gitTip{commit: g.ref, object: g.ref}, nil
	}
	ref := cmp.Or(g.ref, "HEAD")
	err = o.connect(ctx, g.at, func(at *gitRemote) error {
		out, err := o.gitFetch(ctx, at, "", "ls-remote", "--symref", "--", at.address, ref, ref+"^{}")
		tip = findTip(out, g.ref)
		return err
	})
	if err == nil && tip == nil {
		err = fmt.Errorf("the repository %s has no ref %q", g.at, ref)
	}
	return tip, err
}

// findTip chooses among the lines of "git ls-remote". A name below refs/ itself (heads/x, tags/x, pull/7/head) comes
// first, then branches, then tags.
func findTip(listed, ref string) *gitTip {
	found, branch := map[string]string{}, ""
	for line := range strings.Lines(listed) {
		value, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if target, ok := strings.CutPrefix(value, "ref: "); ok && name == "HEAD" && validRef(target) {
			branch = target // the server's word, which must not be an option of git either
		} else if fullCommit().MatchString(value) {
			found[name] = value
		}
	}
	if ref == "" || ref == "HEAD" {
		if found["HEAD"] == "" {
			return nil
		}
		return &gitTip{commit: found["HEAD"], object: found["HEAD"], ref: cmp.Or(branch, "HEAD")}
	}
	for _, prefix := range []string{"refs/", "refs/heads/", "refs/tags/"} {
		name := prefix + strings.TrimPrefix(ref, prefix)
		if object := found[name]; object != "" {
			return &gitTip{commit: cmp.Or(found[name+"^{}"], object), object: object, ref: name}
		}
	}
	return nil
}
