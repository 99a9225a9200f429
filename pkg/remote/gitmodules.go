// This file owns submodules. Their addresses are the text of whoever wrote the repository, not of who builds it: each is
// read here before git fetches from it, and gets credentials only where its host is one that has them already.

package remote

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxSubmodules is how deep they nest. Git knows no bound, and a server could make them up without end.
const maxSubmodules = 20

// submodules fetches those of one repository, which is top.
type submodules struct {
	from Fetcher
	top  *gitRemote
}

// checkout is what was fetched of a remote into a directory; depth says how many others it is nested in.
type checkout struct {
	at    *gitRemote
	dir   string
	depth int
}

// update fetches the submodules of what is checked out, and theirs.
func (s *submodules) update(ctx context.Context, c checkout) error {
	if info, err := os.Lstat(filepath.Join(c.dir, ".gitmodules")); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	if c.depth == maxSubmodules {
		return fmt.Errorf("the submodules of %s are nested more than %d deep", s.top, maxSubmodules)
	}
	if _, err := s.from.git(ctx, c.at, c.dir, "submodule", "-q", "init"); err != nil {
		return err
	}
	addresses, err := s.values(ctx, c, "url", "config", "--local")
	if err != nil {
		return err
	}
	paths, err := s.values(ctx, c, "path", "config", "--file", ".gitmodules")
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		if err := s.one(ctx, c, submodule{name, paths[name], addresses[name]}); err != nil {
			return fmt.Errorf("submodule %q: %w", name, err)
		}
	}
	return nil
}

// values reads submodule.NAME.KEY of all submodules, by a command of git that lists settings.
func (s *submodules) values(ctx context.Context, c checkout, key string, command ...string) (map[string]string, error) {
	found := map[string]string{}
	out, err := s.from.git(ctx, c.at, c.dir, append(command, "--null", "--list")...)
	if err != nil {
		return nil, err
	}
	for _, entry := range strings.Split(out, "\x00") {
		name, value, _ := strings.Cut(entry, "\n")
		name, ok := strings.CutPrefix(name, "submodule.")
		if name, ok2 := strings.CutSuffix(name, "."+key); ok && ok2 {
			found[name] = value
		}
	}
	return found, nil
}

// submodule is one as the repository describes it.
type submodule struct{ name, path, address string }

// one fetches a submodule into a checkout, as little of it as its server allows, and those that it has itself.
func (s *submodules) one(ctx context.Context, c checkout, m submodule) error {
	if !filepath.IsLocal(m.path) {
		return fmt.Errorf("%q is no path in the repository", m.path)
	}
	at, err := parseGitRemote(m.address)
	if err != nil {
		return err
	}
	at.given = s.top.given // the user named that one, and none of these
	at = s.credentials(at)
	err = s.from.connectAs(ctx, at, func(at *gitRemote) error {
		if _, err := s.from.git(ctx, at, c.dir, "config", "submodule."+m.name+".url", at.address); err != nil {
			return err
		}
		_, err := s.from.gitFetch(ctx, at, c.dir, "submodule", "-q", "update", "--depth=1", "--", m.path)
		if err != nil { // Old servers, and those that show files only, give everything or nothing.
			_, err = s.from.gitFetch(ctx, at, c.dir, "submodule", "-q", "update", "--", m.path)
		}
		return err
	})
	if err != nil {
		return err
	}
	if dir, ok := nested(c.dir, m.path); ok {
		return s.update(ctx, checkout{at, dir, c.depth + 1})
	}
	return nil
}

// credentials gives a submodule those of the repository, where it is on the same host, or the secrets for its own host.
func (s *submodules) credentials(at *gitRemote) *gitRemote {
	if _, own := at.user.Password(); !own && at.sameHost(s.top) {
		top := s.from.withCredentials(s.top, append(s.top.ownSecrets(), "")...)
		at.auth, at.late = top.auth, top.late
	}
	return s.from.withCredentials(at, at.ownSecrets()...)
}

// nested is the directory of a submodule, if it was checked out there. A link on the way could lead anywhere.
func nested(dir, path string) (string, bool) {
	for part := range strings.SplitSeq(filepath.Clean(path), "/") {
		dir = filepath.Join(dir, part)
		if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
			return "", false
		}
	}
	_, err := os.Lstat(filepath.Join(dir, ".git"))
	return dir, err == nil
}
