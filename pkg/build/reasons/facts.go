// This file owns what a step depends on in words that a user knows, and what of it has changed.

package reasons

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

// Facts are what a step depends on, by names that a user knows. Values are hashes: neither a build argument nor a file
// can be read from them.
type Facts struct {
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

// Put notes a fact by its hash.
func (f *Facts) Put(name, value string) {
	sum := sha256.Sum256([]byte(value))
	f.Inputs[name] = hex.EncodeToString(sum[:8])
}

// Run notes what of a RUN its key has; limits are words for those of its sandbox.
func (f *Facts) Run(s *dockerfile.Run, limits string) {
	f.Put("the instruction", strings.Join(s.Args, "\x00"))
	f.Put("the user", s.User)
	f.Put("the directory", s.Dir)
	f.Put("the network", s.Network)
	f.Put("the limits", limits)
	for _, e := range s.Env {
		name, value, _ := strings.Cut(e, "=")
		f.Put("the value of "+name, value)
	}
	for _, file := range s.Files {
		f.Put("the text that it is given", string(file.Data))
	}
}

// ErrTooMany ends a list that would cost more than it says.
var ErrTooMany = errors.New("too many files to list")

// A FileLister collects the files of a selection, with their hashes, which the key has needed already.
type FileLister struct {
	Tree  files.Tree
	Facts *Facts
	names []string
	sums  []string
}

// File notes a file by its hash, where that is known, else by its size and time.
func (l *FileLister) File(n *files.Node) error {
	if len(l.names) == maxListed {
		l.names = nil
		return ErrTooMany
	}
	value := fmt.Sprint(n.Mode, n.Link)
	if sum, local, known := files.KnownHash(l.Tree, n); local {
		if !known {
			sum = sha256.Sum256([]byte(fmt.Sprint(n.Size, n.ModTime.UnixNano())))
		}
		value += string(sum[:])
		l.versions(n)
	}
	l.names, l.sums = append(l.names, strings.TrimPrefix(n.Path, "/")), append(l.sums, value)
	return nil
}

// Done names the files, or the directories at the top if they are too many.
func (l *FileLister) Done() {
	if len(l.names) <= maxFacts {
		for i, name := range l.names {
			l.Facts.Put(name, l.sums[i])
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
		l.Facts.Put(dir+"/", all.String())
	}
}

// requirementsName matches the files that pip reads versions from.
var requirementsName = lazyregexp.New(`^(requirements|constraints).*\.(txt|in)$`)

// pinned matches a line of them that names one version (PEP 508; extras and markers are left out).
var pinned = lazyregexp.New(`^\s*([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?\s*===?\s*([^\s;#,]+)`)

// versions reads which versions a file of requirements asks for.
func (l *FileLister) versions(n *files.Node) {
	if !requirementsName().MatchString(path.Base(n.Path)) || n.Size > maxRequirement {
		return
	}
	f, err := l.Tree.Open(n)
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
	if l.Facts.Versions == nil {
		l.Facts.Versions = map[string]map[string]string{}
	}
	l.Facts.Versions[strings.TrimPrefix(n.Path, "/")] = versions
}

// Since lists what is different from old, in words: a few of it, and how much more there is.
func (f *Facts) Since(old *Facts) (all []string) {
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
	if n := len(all) - maxReasons; n > 0 {
		all = append(all[:maxReasons], fmt.Sprintf("%d more", n))
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
