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
	Fetcher
	top *gitRemote
}

// update fetches the submodules of what is checked out in dir, and theirs.
func (s *submodules) update(ctx context.Context, at *gitRemote, dir string, depth int) error {
	if info, err := os.Lstat(filepath.Join(dir, ".gitmodules")); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	if depth == maxSubmodules {
		return fmt.Errorf("the submodules of %s are nested more than %d deep", s.top, maxSubmodules)
	}
	if _, err := s.git(ctx, at, dir, "submodule", "-q", "init"); err != nil {
		return err
	}
	addresses, err := s.values(ctx, at, dir, "url", "config", "--local")
	if err != nil {
		return err
	}
	paths, err := s.values(ctx, at, dir, "path", "config", "--file", ".gitmodules")
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		if err := s.one(ctx, dir, name, paths[name], addresses[name], depth); err != nil {
			return fmt.Errorf("submodule %q: %w", name, err)
		}
	}
	return nil
}

// values reads submodule.NAME.KEY of all submodules.
func (s *submodules) values(ctx context.Context, at *gitRemote, dir, key string, config ...string) (map[string]string, error) {
	found := map[string]string{}
	out, err := s.git(ctx, at, dir, append(config, "--null", "--list")...)
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

// one fetches a submodule, as little of it as its server allows.
func (s *submodules) one(ctx context.Context, dir, name, path, address string, depth int) error {
	if !filepath.IsLocal(path) {
		return fmt.Errorf("%q is no path in the repository", path)
	}
	at, err := parseGitRemote(address)
	if err != nil {
		return err
	}
	at.given = s.top.given // the user named that one, and none of these
	at = s.credentials(at)
	err = s.connectAs(ctx, at, func(at *gitRemote) error {
		if _, err := s.git(ctx, at, dir, "config", "submodule."+name+".url", at.address); err != nil {
			return err
		}
		_, err := s.gitFetch(ctx, at, dir, "submodule", "-q", "update", "--depth=1", "--", path)
		if err != nil { // of old servers, and of those that show files only, everything must be fetched
			_, err = s.gitFetch(ctx, at, dir, "submodule", "-q", "update", "--", path)
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.inside(ctx, at, dir, path, depth)
}

// credentials gives a submodule those of the repository, where it is on the same host, or the secrets for its own host.
func (s *submodules) credentials(at *gitRemote) *gitRemote {
	if _, own := at.user.Password(); !own && at.sameHost(s.top) {
		top := s.withCredentials(s.top, append(s.top.ownSecrets(), "")...)
		at.auth, at.late = top.auth, top.late
	}
	return s.withCredentials(at, at.ownSecrets()...)
}

// inside goes on with the submodules of a submodule, where it was checked out. A link on the way could lead anywhere.
func (s *submodules) inside(ctx context.Context, at *gitRemote, dir, path string, depth int) error {
	for part := range strings.SplitSeq(filepath.Clean(path), "/") {
		dir = filepath.Join(dir, part)
		if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
			return nil
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, ".git")); err != nil {
		return nil
	}
	return s.update(ctx, at, dir, depth+1)
}
