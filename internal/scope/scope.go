// Package scope names whose the caches of a build are. A scope is the project that the build's context belongs to, or has a
// name from the command line; the kind in front keeps a name from being that of a project. What is in a context may claim
// to be any project: who builds what strangers wrote gives that a scope with a name.
package scope

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"
)

// The kinds of scopes, each of which begins the name of its scopes.
const (
	named        = "name:"
	projectScope = "project:"
	gitProject   = projectScope + "git:"  // by where the work tree, or the context itself, comes from
	dirProject   = projectScope + "dir:"  // by the path of a directory
	fileProject  = projectScope + "file:" // by the path of an archive
	urlProject   = projectScope + "url:"  // by the URL of an archive or a Dockerfile
)

// Named is the scope of a name from the command line.
func Named(name string) string { return named + name }

// Of is the scope of the project of a context: "-", a path, or a URL. home is the user's home, or empty.
func Of(context, home string) string {
	info, err := os.Stat(context)
	switch {
	case context == "-": // it comes from nowhere that could be named
		return dirProject + RealPath(".")
	case err == nil && info.IsDir():
		return ofDirectory(RealPath(context), home)
	case err == nil:
		return fileProject + RealPath(context)
	}
	if ref, isGit, err := dfgitutil.ParseGitRef(context); isGit && err == nil {
		return gitProject + originName(ref.Remote, "")
	}
	return urlProject + urlName(context)
}

// ofDirectory names the project of a local directory: by the origin of the git work tree that it is in, else by its path.
// A work tree that somebody else owns does not count, nor does one that holds the user's whole home.
func ofDirectory(dir, home string) string {
	if home != "" {
		home = RealPath(home)
	}
	for top := dir; top != "/" && top != home; top = filepath.Dir(top) {
		info, err := os.Lstat(filepath.Join(top, ".git"))
		if err != nil {
			continue
		}
		if info.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()) {
			break
		}
		if origin := originOf(configOf(top, info)); origin != "" {
			return gitProject + originName(origin, top)
		}
		break
	}
	return dirProject + dir
}

// configOf finds the configuration of the repository of a work tree: of a linked one, that of the main one.
func configOf(top string, git os.FileInfo) string {
	dir := filepath.Join(top, ".git")
	if git.Mode().IsRegular() {
		target, ok := strings.CutPrefix(firstLine(dir), "gitdir: ")
		if !ok {
			return ""
		}
		dir = below(top, target)
		if common := firstLine(filepath.Join(dir, "commondir")); common != "" {
			dir = below(dir, common)
		}
	} else if !git.IsDir() {
		return ""
	}
	return filepath.Join(dir, "config")
}

// below is a path as it is meant in a directory.
func below(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// maxGitConfig is how much is read of a file of git's.
const maxGitConfig = 256 << 10

// readGitFile reads the start of a regular file. It waits for no pipe, and says nothing of errors: what cannot be read has no
// origin.
func readGitFile(path string) []byte {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(f, maxGitConfig))
	return text
}

// firstLine is the first line of a file of git's, or empty.
func firstLine(path string) string {
	line, _, _ := bytes.Cut(readGitFile(path), []byte("\n"))
	return strings.TrimSpace(string(line))
}

// originOf reads the URL of the remote origin from a git configuration, without what that includes. Of a form that is not
// the one that git itself writes, there is no origin.
func originOf(config string) string {
	if config == "" {
		return ""
	}
	inOrigin := false
	for lines := bufio.NewScanner(bytes.NewReader(readGitFile(config))); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			inOrigin = line == `[remote "origin"]`
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if inOrigin && ok && strings.EqualFold(strings.TrimSpace(name), "url") {
			if value = strings.TrimSpace(value); strings.ContainsAny(value, "\"\\;#") {
				return ""
			}
			return value
		}
	}
	return ""
}

// originName is where a repository comes from, however one logs in there: HOST/PATH, or the path of a local one. It has no
// credentials.
func originName(origin, dir string) string {
	trim := func(path string) string {
		return strings.TrimSuffix(strings.Trim(path, "/"), ".git")
	}
	if u, err := url.Parse(origin); err == nil && strings.Contains(origin, "://") {
		if u.Host == "" {
			return "/" + trim(u.Path)
		}
		return strings.ToLower(u.Host) + "/" + trim(u.Path)
	}
	host, path, ok := strings.Cut(origin, ":") // git@host:path
	if ok && !strings.Contains(host, "/") {
		return strings.ToLower(host[strings.LastIndex(host, "@")+1:]) + "/" + trim(path)
	}
	return "/" + trim(RealPath(below(dir, origin)))
}

// urlName is a URL without what may be secret in it: of a query there is a hash.
func urlName(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	name := u.Scheme + "://" + strings.ToLower(u.Host) + u.EscapedPath()
	if u.RawQuery != "" {
		sum := sha256.Sum256([]byte(u.RawQuery))
		name += "?" + hex.EncodeToString(sum[:16])
	}
	return name
}

// Words is a scope as a user reads it.
func Words(scope string) string {
	if scope == "" {
		return "no scope"
	}
	if name, ok := strings.CutPrefix(scope, named); ok {
		return "scope " + name
	}
	for _, kind := range []string{gitProject, dirProject, fileProject, urlProject} {
		if name, ok := strings.CutPrefix(scope, kind); ok {
			return "project " + name
		}
	}
	return scope
}

// RealPath is a path that names the same file wherever the command stands, without links where they can be followed.
func RealPath(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real
	}
	return abs
}
