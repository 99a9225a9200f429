// This file owns build contexts: how one is opened, and where its Dockerfile and its ignore file are.
// A context has two trees of the same directory: one as it is, in which the Dockerfile and the ignore file are found, and one
// less what the ignore file leaves out, which steps see.

package files

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/remote"
)

// ContextOptions are what opening a context needs beside its name.
type ContextOptions struct {
	Stdin      io.Reader // the standard input, for a context or a Dockerfile that is "-"
	Dockerfile string    // the name given with -f, which decides which ignore file counts; empty: the default, "-": Stdin

	// Subdir is the directory of an archive or a repository that is the context; empty: its root.
	Subdir string

	// StateDir is where hashes of files are kept from build to build, and contexts that are not directories while they
	// are needed. Without it nothing is kept, and the system's directory for temporary files is used.
	StateDir string

	// Own are directories that gbuild writes to while it builds: they are no part of a local context that they lie in, as
	// they do where a CI system keeps only what is below the project.
	Own []string

	Secret  func(id string) ([]byte, bool) // credentials of remote contexts; may be nil
	Environ []string                       // git takes proxies from it
	Agent   string                         // the socket of what --ssh default names, for git over ssh; without it the user's own agent and keys
	KeepGit bool                           // leave .git in a context that is a git repository

	MaxDownload int64 // bytes of a remote context; 0: 100 GB

	LocalNetwork   bool // a remote context may lead to addresses of this machine other than its own
	FromDockerfile bool // a Dockerfile names it, and no user: then it may not be at such an address either
}

// Context is a build context: a directory, or what was fetched or unpacked into one.
type Context struct {
	options    ContextOptions
	dir        string // the directory of the user, if that is the context; else empty
	root       *os.Root
	raw, tree  *dirTree
	hashes     *hashes
	scratch    *scratchDir
	modified   time.Time // the time that the server of a URL says; zero without one
	dockerfile []byte    // set if there is nothing but a Dockerfile: the context is empty
	only       string    // the one file of a URL that is no archive: the context has it, and it is the Dockerfile
}

// OpenContext opens a build context: a directory, a tar archive, "-" for a tar or a Dockerfile on Stdin, the URL of a tar
// or a Dockerfile, or a git repository. A directory is not copied: it is read while steps need it.
func OpenContext(ctx context.Context, spec string, o ContextOptions) (c *Context, err error) {
	c = &Context{options: o}
	defer func() {
		if err != nil {
			c.Close()
			c, err = nil, fmt.Errorf("opening build context %s: %w", dockerfile.Redact(spec), err)
		}
	}()
	// A path that exists is never taken for an address, whatever it looks like.
	info, statErr := os.Stat(spec)
	switch {
	case spec == "-":
		return c, c.fromStream(ctx, o.Stdin)
	case statErr == nil && info.IsDir():
		return c, c.fromDir(spec)
	case statErr == nil && info.Mode().IsRegular():
		return c, c.fromFile(ctx, spec)
	case statErr == nil && info.Mode()&os.ModeNamedPipe != 0:
		return c, errors.New("it is a pipe, which only the build context may be")
	case statErr == nil:
		return c, errors.New("it is no directory and no archive")
	}
	ref, isGit, gitErr := remote.ParseGit(spec)
	switch {
	case gitErr == nil:
		return c, c.fromGit(ctx, ref)
	case isGit:
		return c, remote.WithoutAddress(gitErr)
	case strings.HasPrefix(spec, "http://") || strings.HasPrefix(spec, "https://"):
		return c, c.fromURL(ctx, spec)
	}
	return c, statErr
}

// Close gives back what the context holds, and keeps the hashes of its files for the next build.
func (c *Context) Close() error {
	var err error
	if c.hashes != nil {
		// All is closed whatever fails, and the first error is returned.
		err = c.hashes.close()
	}
	if c.root != nil {
		c.raw.dirs.close()
		c.tree.dirs.close()
		err = cmp.Or(err, c.root.Close())
	}
	if c.scratch != nil {
		err = cmp.Or(err, c.scratch.remove())
	}
	return err
}

// Tree returns the files of the context, less what the ignore file leaves out.
func (c *Context) Tree() Tree { return c.tree }

// open makes dir the files of the context.
func (c *Context) open(dir string) (err error) {
	if c.root, err = os.OpenRoot(dir); err != nil {
		return err
	}
	c.raw = newDirTree(c.root, nil)
	// raw shows all files, and tree gets the rules of the ignore file as soon as they are read: that file may ignore itself.
	c.tree = newDirTree(c.root, nil)
	return nil
}

// fromDir opens a directory. Its files are read while steps need them, so that only their hashes are kept.
func (c *Context) fromDir(dir string) (err error) {
	if c.dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := c.open(c.dir); err != nil {
		return err
	}
	c.hashes = newHashes("")
	if c.options.StateDir != "" {
		c.hashes = newHashes(hashesFile(c.options.StateDir, c.dir))
	}
	c.tree.hashes, c.tree.own = c.hashes, below(c.dir, c.options.Own)
	c.tree.rules, err = c.readIgnore()
	return err
}

// below returns the paths in a context of those directories that are in it.
func below(context string, dirs []string) map[string]bool {
	inside := map[string]bool{}
	real, err := filepath.EvalSymlinks(context)
	for _, dir := range dirs {
		// Both sides are compared without links, since the same directory may be named in two ways.
		if at := resolved(dir); err == nil && strings.HasPrefix(at, real+"/") {
			inside[at[len(real):]] = true
		}
	}
	return inside
}

// resolved is the path of a directory without symlinks. What of it is not there yet has none.
func resolved(dir string) string {
	at, err := filepath.EvalSymlinks(dir)
	if parent := filepath.Dir(dir); err != nil && parent != dir {
		return filepath.Join(resolved(parent), filepath.Base(dir))
	}
	return at
}

// fromFile opens an archive that the user has.
func (c *Context) fromFile(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if ok, err := isArchive(f); err != nil || !ok {
		return cmp.Or(err, errors.New("it is no directory and no tar archive"))
	}
	return c.unpack(ctx, f)
}

// maxDockerfile is the most that is read of a Dockerfile or an ignore file.
const maxDockerfile = 16 << 20

// readLimited reads a text that is short where nobody means harm.
func readLimited(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxDockerfile+1))
	if err == nil && len(data) > maxDockerfile {
		err = fmt.Errorf("it is larger than %d MiB", maxDockerfile>>20)
	}
	return data, err
}

// Dockerfile reads the Dockerfile, and returns what to call it in messages. name is as given with -f: a path from the
// working directory or from the context; "" is Dockerfile, dockerfile or Containerfile in the context; "-" is Stdin.
func (c *Context) Dockerfile(name string) (string, []byte, error) {
	if c.dockerfile != nil {
		return "Dockerfile", c.dockerfile, nil
	}
	if c.only != "" {
		data, err := readInside(c.raw, c.only)
		return "Dockerfile", data, err
	}
	if name == "-" {
		if c.options.Stdin == nil {
			return "", nil, errors.New("reading Dockerfile: there is no standard input")
		}
		data, err := readLimited(c.options.Stdin)
		if err != nil {
			err = fmt.Errorf("reading Dockerfile from standard input: %w", err)
		}
		return "Dockerfile", data, err
	}
	display := cmp.Or(name, "Dockerfile")
	data, err := c.readBeside(name, "")
	if dir, base := filepath.Split(display); notThere(err) && base == "Dockerfile" {
		if lower, err := c.readBeside(dir+"dockerfile", ""); err == nil {
			return dir + "dockerfile", lower, nil
		}
	}
	if notThere(err) && name == "" {
		if data, err := c.readBeside(podmanFile, ""); err == nil {
			return podmanFile, data, nil
		}
	}
	if notThere(err) {
		return "", nil, &NoDockerfileError{Name: display}
	}
	if err != nil {
		return "", nil, fmt.Errorf("reading %s: %w", display, err)
	}
	return display, data, nil
}

// podmanFile and podmanIgnore are what podman and buildah call the two files. Docker's names come first.
const (
	podmanFile   = "Containerfile"
	podmanIgnore = ".containerignore"
)

// NoDockerfileError is a Dockerfile that is not there.
type NoDockerfileError struct{ Name string }

// Error implements error.
func (e *NoDockerfileError) Error() string { return fmt.Sprintf("reading %s: no such file", e.Name) }

// Is makes the error one of fs.ErrNotExist.
func (e *NoDockerfileError) Is(target error) bool { return target == fs.ErrNotExist }

// Hint says how to name another one.
func (e *NoDockerfileError) Hint() string {
	return "name the Dockerfile with -f, and the directory of its files as the context"
}

// readBeside reads the Dockerfile of that name, or with a suffix the file that is called after it. Inside the context
// no link leads out of it: a repository could make the text of any file of the machine appear in an error.
func (c *Context) readBeside(name, suffix string) ([]byte, error) {
	if c.dir == "" {
		return readInside(c.raw, cmp.Or(name, "Dockerfile")+suffix)
	}
	outside, inside, err := c.locate(name)
	if err != nil {
		return nil, err
	}
	if outside == "" {
		return readInside(c.raw, inside+suffix)
	}
	if suffix == "" {
		return readRegular(outside)
	}
	root, err := os.OpenRoot(filepath.Dir(outside))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	t := newDirTree(root, nil)
	defer t.dirs.close()
	return readInside(t, filepath.Base(outside)+suffix)
}

// locate decides whether the Dockerfile is in the context, and where.
func (c *Context) locate(name string) (outside, inside string, err error) {
	if name == "" {
		return "", "Dockerfile", nil
	}
	full, err := filepath.Abs(name)
	if err != nil {
		return "", "", err
	}
	if _, err := os.Lstat(full); err != nil && !filepath.IsAbs(name) {
		return "", name, nil
	}
	if rel, err := filepath.Rel(c.dir, full); err == nil && filepath.IsLocal(rel) {
		return "", rel, nil
	}
	return full, "", nil
}

// readInside reads a regular file of a tree.
func readInside(t *dirTree, name string) ([]byte, error) {
	n, err := follow(t, path.Clean("/"+filepath.ToSlash(name)), true)
	if err != nil {
		return nil, err
	}
	if !n.IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	f, err := t.Open(n)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readLimited(f)
}

// readRegular reads a file that the user named himself, wherever it is.
func readRegular(name string) ([]byte, error) {
	// O_NONBLOCK: opening a named pipe must not wait for a writer.
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	return readLimited(f)
}

// readIgnore reads the rules of a local directory: those of the file called after the Dockerfile, else .dockerignore, else
// podman's .containerignore.
func (c *Context) readIgnore() (*ignoreRules, error) {
	const suffix = ".dockerignore"
	name := c.options.Dockerfile
	// A Dockerfile from standard input has no name that an ignore file could be called after.
	if name != "-" {
		data, err := c.readBeside(name, suffix)
		if err == nil {
			return parseIgnore(filepath.Base(cmp.Or(name, "Dockerfile"))+suffix, data)
		}
		if !notThere(err) {
			return nil, fmt.Errorf("reading %s: %w", cmp.Or(name, "Dockerfile")+suffix, err)
		}
	}
	for _, name := range []string{suffix, podmanIgnore} {
		data, err := readInside(c.raw, name)
		if err == nil {
			return parseIgnore(name, data)
		}
		if !notThere(err) {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
	}
	return nil, nil
}

// IgnorePatterns are the patterns of the context's ignore file, in order.
func (c *Context) IgnorePatterns() []string {
	if c.tree == nil || c.tree.rules == nil {
		return nil
	}
	list := make([]string, len(c.tree.rules.lines))
	for i, l := range c.tree.rules.lines {
		list[i] = l.pattern
	}
	return list
}
