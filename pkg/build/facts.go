// This file owns what a step depends on in words that a user knows, and what of it has changed.

package build

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
)

// facts are what a step depends on, by names that a user knows. Values are hashes: neither a build argument nor a file
// can be read from them.
type facts struct {
	Parent   string                       `json:"parent"`
	Inputs   map[string]string            `json:"inputs"`
	Versions map[string]map[string]string `json:"versions,omitempty"` // the versions that requirements files pin: path -> name -> version
}

const (
	maxListed      = 5000      // files of a context that are looked at one by one
	maxFacts       = 2000      // inputs; of more files only the directories at the top are told apart
	maxRequirement = 256 << 10 // bytes of a requirements file that is read for versions
	maxReasons     = 4
)

// put notes a fact by its hash.
func (f *facts) put(name, value string) {
	sum := sha256.Sum256([]byte(value))
	f.Inputs[name] = hex.EncodeToString(sum[:8])
}

// run notes what of a RUN its key has.
func (f *facts) run(s *dockerfile.Run, limits Limits) {
	f.put("the instruction", strings.Join(s.Args, "\x00"))
	f.put("the user", s.User)
	f.put("the directory", s.Dir)
	f.put("the network", s.Network)
	f.put("the limits", fmt.Sprint(limits.ShmSize, limits.Ulimits, limits.hostNames()))
	for _, e := range s.Env {
		name, value, _ := strings.Cut(e, "=")
		f.put("the value of "+name, value)
	}
	for _, file := range s.Files {
		f.put("the text that it is given", string(file.Data))
	}
}

// errTooMany ends a list that would cost more than it says.
var errTooMany = errors.New("too many files to list")

// A fileLister collects the files of a selection, with their hashes, which the key has needed already.
type fileLister struct {
	tree  files.Tree
	facts *facts
	names []string
	sums  []string
}

// file notes a file by its hash, where that is known, else by its size and time.
func (l *fileLister) file(n *files.Node) error {
	if len(l.names) == maxListed {
		l.names = nil
		return errTooMany
	}
	value := fmt.Sprint(n.Mode, n.Link)
	if sum, local, known := files.KnownHash(l.tree, n); local {
		if !known {
			sum = sha256.Sum256([]byte(fmt.Sprint(n.Size, n.ModTime.UnixNano())))
		}
		value += string(sum[:])
		l.versions(n)
	}
	l.names, l.sums = append(l.names, strings.TrimPrefix(n.Path, "/")), append(l.sums, value)
	return nil
}

// done names the files, or the directories at the top if they are too many.
func (l *fileLister) done() {
	if len(l.names) <= maxFacts {
		for i, name := range l.names {
			l.facts.put(name, l.sums[i])
		}
		return
	}
	top := map[string]*strings.Builder{}
	for i, name := range l.names {
		dir, _, _ := strings.Cut(name, "/")
		if top[dir] == nil {
			top[dir] = &strings.Builder{}
		}
		top[dir].WriteString(name + l.sums[i])
	}
	for dir, all := range top {
		l.facts.put(dir+"/", all.String())
	}
}

// requirementsName matches the files that pip reads versions from.
var requirementsName = lazyregexp.New(`^(requirements|constraints).*\.(txt|in)$`)

// pinned matches a line of them that names one version (PEP 508; extras and markers are left out).
var pinned = lazyregexp.New(`^\s*([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?\s*===?\s*([^\s;#,]+)`)

// versions reads which versions a file of requirements asks for.
func (l *fileLister) versions(n *files.Node) {
	if !requirementsName().MatchString(path.Base(n.Path)) || n.Size > maxRequirement {
		return
	}
	f, err := l.tree.Open(n)
	if err != nil {
		return // the step says so, if it matters
	}
	defer f.Close()
	versions := map[string]string{}
	for lines := bufio.NewScanner(io.LimitReader(f, maxRequirement)); lines.Scan(); {
		if m := pinned().FindStringSubmatch(lines.Text()); m != nil {
			versions[m[1]] = m[2]
		}
	}
	if l.facts.Versions == nil {
		l.facts.Versions = map[string]map[string]string{}
	}
	l.facts.Versions[strings.TrimPrefix(n.Path, "/")] = versions
}

// since lists what is different from old, in words.
func (f *facts) since(old *facts) (all []string) {
	for _, name := range slices.Sorted(maps.Keys(f.Inputs)) {
		was, known := old.Inputs[name]
		switch {
		case !known:
			all = append(all, name+" is new")
		case was != f.Inputs[name]:
			all = append(all, name+" changed"+versionsSince(f.Versions[name], old.Versions[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old.Inputs)) {
		if _, known := f.Inputs[name]; !known {
			all = append(all, name+" is gone")
		}
	}
	if f.Parent != old.Parent {
		all = append(all, "a step or an image before it changed")
	}
	return all
}

// versionsSince is what a requirements file now asks for.
func versionsSince(now, old map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		switch was, known := old[name]; {
		case !known:
			all = append(all, fmt.Sprintf("%s %s is new", name, now[name]))
		case was != now[name]:
			all = append(all, fmt.Sprintf("%s %s → %s", name, was, now[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if _, known := now[name]; !known {
			all = append(all, name+" is gone")
		}
	}
	if len(all) == 0 {
		return ""
	}
	return ": " + strings.Join(all, ", ")
}
