// This file owns the scope of what pip and uv build in a RUN: all that the build can see has a part in its name, so that a wheel is
// found again only where building it again would give the same.

package toolcache

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/internal/recipe"
	"github.com/gbuild/gbuild/pkg/caching"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// builtScope names all that a wheel which a tool builds in the RUN may depend on. keep is false where it must not be found
// again: the Dockerfile says so, or the build sees something that has no name. ofState says that nothing but the files
// before the RUN decides what is built.
func (c *Caches) builtScope(s *dockerfile.Run, t installer.Tool) (scope string, keep, ofState bool) {
	if s.Calls().KeepsNone(t) || len(s.Devices) > 0 || c.build.Unnamed {
		return "", false, false
	}
	text := s.Calls().Builds()
	if text.Unpinned {
		return "", false, false
	}
	whole := !text.Sure || slices.ContainsFunc(s.Mounts, func(d dockerfile.Mount) bool { return !plain(&d) }) ||
		slices.ContainsFunc(text.Files, func(name string) bool { return strings.Contains(name, "://") })
	if whole && c.Rerun {
		return "", false, false
	}
	r := recipe.New("built", layers.Key{})
	if whole {
		r.Bytes(c.Recipe[:])
	} else {
		below, options, err := c.baseline(s, &text)
		if err != nil {
			return "", false, false
		}
		run := s.Executing(text.Text)
		run.Env = seen(s.Env)
		key := c.Over(below, run)
		r.Bytes(key[:])
		r.List(options)
	}
	r.List(installed(c.Lower, s))
	r.Text(processor())
	return r.Key().String(), true, !whole
}

// plain says whether a mount shows a build nothing that could decide what it makes: a cache is one where tools keep theirs.
func plain(d *dockerfile.Mount) bool {
	cache := func(place string) bool { return strings.Contains(d.Target+"/", place) }
	return d.Type == dockerfile.MountTmpfs || d.Type == dockerfile.MountCache && d.From == nil && slices.ContainsFunc([]string{"/.cache/", "/var/cache/", "ccache/"}, cache)
}

// seen are the variables that a build can see, each once with the value that holds, sorted.
func seen(env []string) (all []string) {
	values := map[string]string{}
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	for name, value := range values {
		if installer.SeesVariable(name) {
			all = append(all, name+"="+value)
		}
	}
	slices.Sort(all)
	return all
}

// baseline returns the state below the RUN without the steps directly before it that only bring files of requirements,
// and those lines of such files that a build depends on. A changed line of requirements.txt changes none of them. It fails
// where a requirement is an address.
func (c *Caches) baseline(s *dockerfile.Run, text *caching.Builds) (below layers.Key, options []string, err error) {
	constrained := text.Constrained || c.constrained(s)
	q := &requirements{view: c.Lower, named: map[string]bool{}}
	for _, name := range text.Files {
		if !path.IsAbs(name) && text.Moves {
			return c.Parent, nil, nil
		}
		if err := q.read(absolute(s.Dir, name), maxNested); errors.Is(err, errUnpinned) {
			return layers.Key{}, nil, err
		} else if err != nil {
			return c.Parent, nil, nil
		}
	}
	if constrained {
		return c.Parent, nil, nil
	}
	for below = c.Parent; ; {
		parent, changed, ok := c.Brought(below)
		if !ok || !onlyRequirements(changed, q.named) {
			return below, q.options, nil
		}
		below = parent
	}
}

// absolute is a path as the RUN would understand it.
func absolute(dir, name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(dir, name)
}

// constrained says whether such a file speaks of constraints, or cannot be read.
func (c *Caches) constrained(s *dockerfile.Run) bool {
	names := slices.Clone(installer.Settings)
	for _, prefix := range Prefixes(s) {
		names = append(names, filepath.Join(prefix, installer.PrefixSettings))
	}
	for _, name := range names {
		homes := []string{""}
		if rest, ok := strings.CutPrefix(name, "~"); ok {
			name, homes = rest, []string{c.User.Home, s.Getenv("HOME"), "/root"}
		}
		for _, home := range homes {
			data, err := readView(c.Lower, absolute(s.Dir, home+name))
			if err == nil && installer.Constrains(string(data)) || err != nil && !errors.Is(err, os.ErrNotExist) {
				return true
			}
		}
	}
	return false
}

// onlyRequirements says whether a state adds nothing to the one below but directories and files of requirements: those
// that the RUN names, and others that have the names of such.
func onlyRequirements(v *rootfs.View, named map[string]bool) bool {
	return v.Walk("/", func(e *rootfs.Entry) error {
		if e.IsDir() || e.IsRegular() && (named[e.Path] || installer.IsRequirements(path.Base(e.Path))) {
			return nil
		}
		return os.ErrInvalid
	}) == nil
}

// requirements reads files of requirements, and those that they name.
type requirements struct {
	view    *rootfs.View
	named   map[string]bool // their paths, with all links resolved
	options []string        // lines that say how something is built
}

// These bounds keep a hostile image from taking much time: nobody writes so much.
const (
	maxNested = 5       // files that name files
	maxShort  = 4 << 20 // bytes of a file of requirements, or of settings
)

// Both end the reading of requirements: the first makes everything count, the second lets nothing be kept.
var (
	errUnclear  = errors.New("it cannot be told what the requirements are")
	errUnpinned = errors.New("what a requirement is depends on what an address has")
)

// read reads a file, and those that it names.
func (q *requirements) read(name string, depth int) error {
	if depth == 0 || !installer.OnlyRequires(name) {
		return errUnclear
	}
	data, err := readView(q.view, name)
	if err != nil {
		return err
	}
	real, _, err := q.view.Resolve(name, true)
	if err != nil {
		return err
	}
	q.named[real] = true
	for _, line := range installer.RequirementLines(string(data)) {
		switch {
		case line.Unpinned:
			return errUnpinned
		case line.Names:
			if err := q.read(absolute(path.Dir(name), line.File), depth-1); err != nil {
				return err
			}
		default:
			q.options = append(q.options, line.Option)
		}
	}
	return nil
}

// readView reads a short file.
func readView(v *rootfs.View, name string) ([]byte, error) {
	f, err := v.Follow(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxShort+1))
	if err == nil && len(data) > maxShort {
		err = errUnclear
	}
	return data, err
}

// processor says what the processor can do: a build may be made for this one.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	var b strings.Builder
	for in := bufio.NewScanner(f); in.Scan() && in.Text() != ""; { // the first of them
		name, value, _ := strings.Cut(in.Text(), ":")
		switch name = strings.TrimSpace(name); name {
		case "vendor_id", "cpu family", "model", "model name", "flags", "Features", "CPU implementer", "CPU architecture", "CPU part", "isa":
			b.WriteString(name + value + "\n")
		}
	}
	return b.String()
}
