// This file owns what an address says of a git repository.
// Only forms that nobody could take for an option or a command reach git.

package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// GitSource is a git repository at a ref.
type GitSource struct {
	at                    *gitRemote
	ref, subdir, checksum string
	keepGit, submodules   bool
	checkoutTime          bool // files are as old as the checkout, not as the commit
	byChecksum            bool // the checksum is the commit: nobody is asked what the ref is
}

// ParseGit reads the address of a repository as BuildKit does, and git+https:// or git+http:// before any path: the word says
// that it is a repository, so its path need not end with .git. isGit says whether an error is about such an address.
func ParseGit(address string) (ref *dfgitutil.GitRef, isGit bool, err error) {
	plain, said := strings.CutPrefix(address, "git+http")
	if !said {
		return dfgitutil.ParseGitRef(address)
	}
	u, err := url.Parse("http" + plain)
	if err != nil {
		return nil, true, err
	}
	named := strings.HasSuffix(u.Path, ".git")
	if !named {
		u.Path = strings.TrimSuffix(u.Path, "/") + ".git"
	}
	if ref, _, err = dfgitutil.ParseGitRef(u.String()); err == nil && !named {
		ref.Remote = strings.TrimSuffix(ref.Remote, ".git")
	}
	return ref, true, err
}

// What names a commit: all of its digits, or so many that nobody else has them.
var (
	fullCommit = lazyregexp.New(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	someDigits = lazyregexp.New(`^[0-9a-f]{7,64}$`)
)

// NewGitSource checks a reference: nothing in it may be taken for an option of git.
func NewGitSource(ref *dfgitutil.GitRef, keepGit *bool, checksum string) (*GitSource, error) {
	if keepGit != nil && ref.KeepGitDir != nil && *keepGit != *ref.KeepGitDir {
		return nil, errors.New("inconsistent keep-git-dir configuration")
	}
	if checksum != "" && ref.Checksum != "" && checksum != ref.Checksum {
		return nil, fmt.Errorf("checksum mismatch %q != %q", checksum, ref.Checksum)
	}
	g := &GitSource{ref: ref.Ref, subdir: ref.SubDir, checksum: cmp.Or(checksum, ref.Checksum),
		keepGit: isTrue(keepGit) || isTrue(ref.KeepGitDir), submodules: ref.Submodules == nil || *ref.Submodules,
		checkoutTime: ref.MTime == "checkout", byChecksum: ref.FetchByCommit}
	address := ref.Remote
	if ref.IndistinguishableFromLocal {
		address = "https://" + address
	}
	var err error
	if g.at, err = parseGitRemote(address); err != nil {
		return nil, err
	}
	return g, g.checkRef()
}

// checkRef holds what names the commit to its forms.
func (g *GitSource) checkRef() error {
	switch {
	case g.ref != "" && !validRef(g.ref):
		return fmt.Errorf("%q is no git ref", g.ref)
	case g.checksum != "" && !someDigits().MatchString(g.checksum):
		return fmt.Errorf("--checksum=%s: it is the hex digits of a commit", g.checksum)
	case g.byChecksum && !fullCommit().MatchString(g.ref) && !fullCommit().MatchString(g.checksum):
		return errors.New("fetch-by-commit needs the whole commit as checksum")
	}
	return nil
}

// isTrue says whether a choice was made, and was yes.
func isTrue(b *bool) bool { return b != nil && *b }

// Identity is what names the files of the source as they are now.
func (g *GitSource) Identity(ctx context.Context, o Fetcher) ([]string, error) {
	tip, err := o.resolveGit(ctx, g)
	if err != nil {
		return nil, err
	}
	fields := []string{"git", tip.commit, path.Clean("/" + g.subdir), strconv.FormatBool(g.keepGit), strconv.FormatBool(g.submodules)}
	if g.keepGit {
		fields = append(fields, tip.object, tip.keptTag())
	}
	if g.checkoutTime {
		fields = append(fields, "mtime=checkout")
	}
	return fields, nil
}
