// This file owns how a RUN is read: which commands its text calls, and what package managers have to do with its mounts.

package dockerfile

import (
	"path"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
	"github.com/gbuild/gbuild/pkg/caching"
	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/shell"
)

// command is what the RUN executes, for those who read it.
func (r *Run) command() *shell.Command {
	c := &shell.Command{Args: r.Args, Env: r.Env, Dir: r.Dir, User: r.User, Scripts: r.scripts}
	for _, f := range r.Files {
		c.Files = append(c.Files, string(f.Data))
	}
	return c
}

// Calls reads which commands the RUN calls, with those of its scripts where WithScripts has found them.
func (r *Run) Calls() *caching.Calls { return caching.Read(r.command()) }

// Executing returns the RUN with another command in the place of its own, as caching makes one of that.
func (r *Run) Executing(c *shell.Command) *Run {
	out := *r
	out.Args, out.Env, out.Files = c.Args, c.Env, slices.Clone(r.Files)
	for i := range out.Files {
		out.Files[i].Data = []byte(c.Files[i])
	}
	return &out
}

// WithScripts returns the RUN with the text of the shell scripts that it executes, as far as read has them: what they
// call counts as what the RUN itself calls. Their text is never changed.
func (r *Run) WithScripts(read func(name string) ([]byte, error)) *Run {
	out := *r
	out.scripts = shell.Scripts{}
	out.scripts = out.command().FindScripts(read)
	return &out
}

// Mentions says whether a text of the RUN, or of a script that it executes, is found.
func (r *Run) Mentions(found func(text string) bool) bool { return r.command().Mentions(found) }

// Getenv returns the value of a variable of the RUN's environment; empty when it has none.
func (r *Run) Getenv(name string) string { return r.command().Getenv(name) }

// CacheMount returns the mount that keeps the cache of a tool out of the layer: at its usual place, or where a variable
// says; nil without one.
func (r *Run) CacheMount(t installer.Tool) *Mount {
	cache := t.Cache()
	dir := r.Getenv(cache.Variable)
	for i := range r.Mounts {
		m := &r.Mounts[i]
		if m.Type == MountSecret || m.Type == MountSSH {
			continue
		}
		if slices.Contains(cache.Places, path.Base(m.Target)) || dir != "" && m.shows(dir) {
			return m
		}
	}
	return nil
}

// ChoosesCache says whether the Dockerfile has a cache of its own for the tool in this RUN, or a place for it: such a RUN is
// left as it is.
func (r *Run) ChoosesCache(t installer.Tool) bool {
	return r.CacheMount(t) != nil || r.Calls().Chooses(t)
}

// Uncached says why the RUN, which fetches packages by the tool, has no use of a cache that it would be given; empty where
// it has, and where it does not call the tool.
func (r *Run) Uncached(t installer.Tool) string { return r.Calls().Uncached(t, r.CacheMount(t) != nil) }

// shows says whether a path is below the mount.
func (m *Mount) shows(name string) bool { return strings.HasPrefix(name+"/", m.Target+"/") }

// cachePath matches the places where pip and uv keep their caches by themselves.
var cachePath = lazyregexp.New(`(^|[/=])\.cache(/?|/\*|/(pip|uv)(/.*)?)$`)

// ReadsCaches says whether a step needs what pip or uv leaves in an image below ~/.cache, as COPY --from=build
// /root/.cache does, or chown. Such a Dockerfile wants the caches where they are.
func ReadsCaches(s Step) bool {
	switch s := s.(type) {
	case *Copy:
		return s.From.Kind != FromContext && slices.ContainsFunc(s.Sources, cachePath().MatchString)
	case *Run:
		return s.readsCaches()
	}
	return false
}

// readsCaches looks at the mounts of the RUN, and at the words of its calls. To remove or print such a path needs no cache.
func (r *Run) readsCaches() bool {
	for _, m := range r.Mounts {
		if m.Type == MountBind && m.From != nil && cachePath().MatchString(m.Source) {
			return true
		}
	}
	if !r.Mentions(func(text string) bool { return strings.Contains(text, ".cache") }) {
		return false
	}
	for _, c := range r.Calls().All() {
		if !slices.ContainsFunc(c.Words[1:], func(w shell.Word) bool { return cachePath().MatchString(w.Value) && !r.mounted(w.Value) }) {
			continue
		}
		switch c.Name() {
		case "mkdir", "install": // the RUN makes it itself
			return false
		case "rm", "echo", "printf", "test", "[":
		default:
			return true
		}
	}
	return false
}

// mounted says whether a path is below a mount of the RUN.
func (r *Run) mounted(name string) bool {
	return slices.ContainsFunc(r.Mounts, func(m Mount) bool { return m.shows(path.Clean(name)) })
}
