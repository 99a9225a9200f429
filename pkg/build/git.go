package build

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"
)

// gitSource is a git repository at a ref.
type gitSource struct {
	remote, ref, subdir, checksum string
	keepGit, submodules           bool
	checkoutTime                  bool // files are as old as the checkout, not as the commit
}

var fullCommit = lazyRegexp(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// newGitSource checks a reference: nothing in it may be taken for an option of git.
func newGitSource(ref *dfgitutil.GitRef, keepGit *bool, checksum string) (*gitSource, error) {
	if keepGit != nil && ref.KeepGitDir != nil && *keepGit != *ref.KeepGitDir {
		return nil, errors.New("inconsistent keep-git-dir configuration")
	}
	if checksum != "" && ref.Checksum != "" && checksum != ref.Checksum {
		return nil, fmt.Errorf("checksum mismatch %q != %q", checksum, ref.Checksum)
	}
	g := &gitSource{remote: ref.Remote, ref: ref.Ref, subdir: ref.SubDir, checksum: cmpString(checksum, ref.Checksum),
		keepGit: isTrue(keepGit) || isTrue(ref.KeepGitDir), submodules: ref.Submodules == nil || *ref.Submodules,
		checkoutTime: ref.MTime == "checkout"}
	if ref.IndistinguishableFromLocal {
		g.remote = "https://" + g.remote
	}
	if strings.HasPrefix(g.remote, "-") {
		return nil, fmt.Errorf("%q is no git repository", g.remote)
	}
	if u, err := url.Parse(g.remote); err == nil && (strings.HasPrefix(u.Host, "-") || strings.HasPrefix(u.User.Username(), "-")) {
		return nil, fmt.Errorf("%q is no git repository", g.remote)
	}
	if g.ref != "" && !validRef(g.ref) {
		return nil, fmt.Errorf("%q is no git ref", g.ref)
	}
	if g.checksum != "" && !regexp.MustCompile(`^[0-9a-f]{7,64}$`).MatchString(g.checksum) {
		return nil, fmt.Errorf("--checksum=%s: it is the hex digits of a commit", g.checksum)
	}
	return g, nil
}

func isTrue(b *bool) bool { return b != nil && *b }

func cmpString(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
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

// identity is what names the files of the source at a commit.
func (g *gitSource) identity(commit string) []string {
	return []string{"git", commit, path.Clean("/" + g.subdir), strconv.FormatBool(g.keepGit), strconv.FormatBool(g.submodules)}
}

// resolveGit returns the commit that the ref of a repository is now, once in a build.
func (o copyOptions) resolveGit(ctx context.Context, g *gitSource) (string, error) {
	return o.Sources.commit(g.remote+" "+g.ref, func() (string, error) {
		commit, err := g.resolve(ctx, o)
		if err == nil && g.checksum != "" && !strings.HasPrefix(commit, g.checksum) {
			err = fmt.Errorf("%s of %s is commit %s, --checksum wants %s", cmpString(g.ref, "HEAD"), redacted(g.remote), commit, g.checksum)
		}
		return commit, err
	})
}

func (g *gitSource) resolve(ctx context.Context, o copyOptions) (string, error) {
	if fullCommit().MatchString(g.ref) {
		return g.ref, nil
	}
	ref := cmpString(g.ref, "HEAD")
	out, err := o.git(ctx, g, "", "ls-remote", "--", g.remote, ref, ref+"^{}")
	if err != nil {
		return "", err
	}
	found := map[string]string{}
	for line := range strings.Lines(out) {
		if commit, name, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && fullCommit().MatchString(commit) {
			found[name] = commit
		}
	}
	// An annotated tag is an object of its own: what it points to is listed as TAG^{}.
	for _, name := range []string{ref + "^{}", ref, "refs/tags/" + ref + "^{}", "refs/tags/" + ref, "refs/heads/" + ref} {
		if commit := found[name]; commit != "" {
			return commit, nil
		}
	}
	return "", fmt.Errorf("the repository %s has no ref %q", redacted(g.remote), ref)
}

// checkout puts the files of a commit into the empty directory dir, and returns the directory of them that was asked for.
func (g *gitSource) checkout(ctx context.Context, o copyOptions, commit, dir string) (string, error) {
	git := func(args ...string) error {
		_, err := o.git(ctx, g, dir, args...)
		return err
	}
	if err := git("init", "-q", "--template=", "--initial-branch=main"); err != nil {
		return "", err
	}
	if err := git("config", "remote.origin.url", g.remote); err != nil { // submodules may have addresses relative to it
		return "", err
	}
	if err := g.fetchCommit(git, commit); err != nil {
		return "", err
	}
	if err := git("checkout", "-q", "--detach", commit); err != nil {
		return "", err
	}
	if _, err := os.Lstat(filepath.Join(dir, ".gitmodules")); err == nil && g.submodules {
		if err := git("submodule", "update", "-q", "--init", "--recursive", "--depth=1"); err != nil {
			return "", err
		}
	}
	out, err := o.git(ctx, g, dir, "show", "-s", "--format=%ct", commit)
	if err != nil {
		return "", err
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
	if err != nil {
		return "", fmt.Errorf("reading the time of commit %s: %w", commit, err)
	}
	if err := g.tidy(dir, time.Unix(seconds, 0)); err != nil {
		return "", err
	}
	return g.subdirectory(dir)
}

// fetchCommit fetches as little as the server lets it: the commit alone, the ref alone, or everything.
func (g *gitSource) fetchCommit(git func(...string) error, commit string) error {
	ref := cmpString(g.ref, "HEAD")
	attempts := [][]string{
		{"fetch", "-q", "--depth=1", "--no-tags", "--", "origin", commit},
		{"fetch", "-q", "--depth=1", "--no-tags", "--", "origin", ref},
		{"fetch", "-q", "--", "origin", "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"},
	}
	var err error
	for _, args := range attempts {
		if err = git(args...); err != nil {
			continue
		}
		if err = git("cat-file", "-e", commit+"^{commit}"); err == nil {
			return nil
		}
	}
	return err
}

// tidy removes .git unless it is kept, and gives the files modes that depend on nobody's umask and, but where the time
// of the checkout is asked for, the time of the commit.
func (g *gitSource) tidy(dir string, commit time.Time) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	tree := newDirTree(root, nil)
	defer tree.dirs.close()
	return g.tidyDir(tree, &Node{Path: "/"}, commit)
}

func (g *gitSource) tidyDir(t *dirTree, dir *Node, commit time.Time) error {
	for n, err := range t.ReadDir(dir) {
		if err != nil {
			return err
		}
		name := local(n.Path)
		switch {
		case path.Base(name) == ".git" && !g.keepGit:
			if err := t.dirs.root.RemoveAll(name); err != nil {
				return err
			}
			continue
		case n.IsDir():
			err = cmpErr(g.tidyDir(t, n, commit), t.dirs.root.Chmod(name, 0o755))
		case n.IsRegular():
			err = t.dirs.root.Chmod(name, os.FileMode(0o644|n.Mode&0o100|n.Mode&0o100>>3|n.Mode&0o100>>6))
		}
		if err == nil && !g.checkoutTime && !n.IsSymlink() {
			err = t.dirs.root.Chtimes(name, commit, commit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// subdirectory leads to the part of the checkout that was asked for. A link on the way could lead anywhere.
func (g *gitSource) subdirectory(dir string) (string, error) {
	at := dir
	for _, part := range elements(path.Clean("/" + g.subdir)) {
		at = filepath.Join(at, part)
		if info, err := os.Lstat(at); err != nil || !info.IsDir() {
			return "", fmt.Errorf("%s has no directory %q", redacted(g.remote), g.subdir)
		}
	}
	return at, nil
}

// git runs git in dir, without the user's and the machine's configuration, hooks, prompts and all but network protocols.
func (o copyOptions) git(ctx context.Context, g *gitSource, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	if cmd.Err != nil {
		return "", &NoGitError{}
	}
	guard, err := o.guardGit(g.remote)
	if err != nil {
		return "", err
	}
	defer guard.close()
	cmd.Dir, cmd.Env = dir, guard.env(o.gitEnv(g))
	cmd.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if refused := guard.refusal(); err != nil && refused != nil {
		return "", fmt.Errorf("git %s of %s: %w", args[0], redacted(g.remote), refused)
	}
	if err != nil {
		text := strings.ReplaceAll(strings.TrimSpace(stderr.String()), g.remote, redacted(g.remote))
		return "", fmt.Errorf("git %s of %s: %w: %s", args[0], redacted(g.remote), err, text)
	}
	return string(out), nil
}

// NoGitError is the lack of git where a repository is to be fetched.
type NoGitError struct{}

func (*NoGitError) Error() string { return "git is not installed" }

// Hint says what to do.
func (*NoGitError) Hint() string { return "install git, or fetch the files before the build" }

// passed are the variables that git may have from the environment of the build.
var passed = []string{"PATH", "SSH_AUTH_SOCK", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy",
	"no_proxy", "all_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"}

func (o copyOptions) gitEnv(g *gitSource) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/dev/null", "XDG_CONFIG_HOME=/dev/null", "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=/bin/false",
		"GIT_SSH_COMMAND=ssh -F /dev/null -o BatchMode=yes", "GIT_ALLOW_PROTOCOL=https:http:ssh:git", "GIT_LFS_SKIP_SMUDGE=1"}
	for _, v := range o.Environ {
		if name, _, _ := strings.Cut(v, "="); slices.Contains(passed, name) {
			env = append(env, v)
		}
	}
	config := [][2]string{{"core.hooksPath", "/dev/null"}, {"core.fsmonitor", "false"}, {"core.autocrlf", "false"},
		{"core.protectHFS", "true"}, {"core.protectNTFS", "true"}, {"advice.detachedHead", "false"}, {"gc.auto", "0"}}
	if header := o.gitHeader(g.remote); header != nil {
		config = append(config, *header)
	}
	env = append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(len(config)))
	for i, c := range config { // not with -c: other users can read the arguments of a process
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, c[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, c[1]))
	}
	return env
}

// gitHeader returns the setting with the credentials that a secret has for the host of a repository.
func (o copyOptions) gitHeader(remote string) *[2]string {
	u, err := url.Parse(remote)
	if o.Secret == nil || err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil
	}
	key := "http." + u.Scheme + "://" + u.Host + "/.extraHeader"
	for _, suffix := range []string{"." + u.Host, "." + u.Hostname(), ""} {
		if header, ok := o.Secret("GIT_AUTH_HEADER" + suffix); ok {
			return &[2]string{key, "Authorization: " + strings.TrimSpace(string(header))}
		}
		if token, ok := o.Secret("GIT_AUTH_TOKEN" + suffix); ok {
			pair := "x-access-token:" + strings.TrimSpace(string(token))
			return &[2]string{key, "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(pair))}
		}
	}
	return nil
}

// addGit copies the files of a repository.
func (a *adder) addGit(ctx context.Context, g *gitSource) (err error) {
	commit, err := a.resolveGit(ctx, g)
	if err != nil {
		return err
	}
	scratch, err := newScratchDir(a.Store.Dir())
	if err != nil {
		return err
	}
	defer func() { err = cmpErr(err, scratch.remove()) }()
	sub, err := g.checkout(ctx, a.copyOptions, commit, scratch.path)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(sub)
	if err != nil {
		return err
	}
	defer root.Close()
	tree := newDirTree(root, nil)
	defer tree.dirs.close()
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
