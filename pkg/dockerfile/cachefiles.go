package dockerfile

import (
	"path"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

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

func (r *Run) readsCaches() bool {
	for _, m := range r.Mounts {
		if m.Type == MountBind && m.From != nil && cachePath().MatchString(m.Source) {
			return true
		}
	}
	if !slices.ContainsFunc(r.texts(), func(text string) bool { return strings.Contains(text, ".cache") }) {
		return false
	}
	for _, c := range r.calls() {
		i := slices.IndexFunc(c.words[1:], func(w word) bool { return cachePath().MatchString(w.value) && !r.mounted(w.value) })
		if i < 0 {
			continue
		}
		switch c.words[0].base() {
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
	return slices.ContainsFunc(r.Mounts, func(m Mount) bool { return strings.HasPrefix(path.Clean(name)+"/", m.Target+"/") })
}
