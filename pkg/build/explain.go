package build

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
)

// recordFacts is the kind of the records that keep what a step was made of when it last ran, under its place: so that
// the next build can say what has changed since.
const recordFacts = "facts"

// facts are what a step depends on, by names that a user knows. Values are hashes: neither a build argument nor a file
// can be read from them.
type facts struct {
	Parent   string                       `json:"parent"`
	Inputs   map[string]string            `json:"inputs"`
	Versions map[string]map[string]string `json:"versions,omitempty"` // of requirements files: path -> name -> version
}

const (
	maxListed      = 5000      // files of a context that are looked at one by one
	maxFacts       = 2000      // inputs; of more files only the directories at the top are told apart
	maxRequirement = 256 << 10 // bytes of a requirements file that is read for versions
	maxReasons     = 4
)

// placeKey names what --explain compares: the step of that number, in that stage, of that Dockerfile.
func (w *work) placeKey() layers.Key {
	r := newRecipe("place", layers.Key{})
	r.text(w.walker.req.Place, w.stage.name(), strconv.Itoa(slices.Index(w.stage.steps, w.step)))
	return r.key()
}

// explain says why the step runs.
func (w *work) explain(ctx context.Context) {
	if w.walker.req.Explain {
		w.walker.events.report(Event{Type: Explained, Step: w.begin(), Text: "runs: " + w.reason(ctx)})
	}
}

// explainHit says why it need not.
func (w *work) explainHit(out layers.Key) {
	if !w.walker.req.Explain {
		return
	}
	text := "stored: nothing that it depends on has changed"
	if im := w.walker.states.importOf(out); im != nil && im.cache != "" {
		text = "from cache " + im.cache + ": another machine has made it of the same"
	}
	w.walker.events.report(Event{Type: Explained, Step: w.begin(), Text: text})
}

func (w *work) reason(ctx context.Context) string {
	if w.rerun {
		return "--no-cache asks for it"
	}
	var old facts
	data, ok := w.walker.store.Recall(recordFacts, w.placeKey())
	if !ok || json.Unmarshal(data, &old) != nil {
		return "there is no result of it, and no earlier build of this Dockerfile to compare with"
	}
	now, err := w.facts(ctx)
	if err != nil {
		return err.Error()
	}
	if all := now.since(&old); len(all) > 0 {
		if n := len(all) - maxReasons; n > 0 {
			all = append(all[:maxReasons], fmt.Sprintf("%d more", n))
		}
		return strings.Join(all, "; ")
	}
	return "its result is stored no longer"
}

// keepFacts notes what the step was made of, for a later build.
func (w *work) keepFacts(ctx context.Context) error {
	if w.walker.req.Place == "" {
		return nil
	}
	f, err := w.facts(ctx)
	if err != nil {
		return err
	}
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return w.walker.store.Remember(recordFacts, w.placeKey(), data)
}

// facts collects them once, from the digests that the key was made of.
func (w *work) facts(ctx context.Context) (*facts, error) {
	if w.made != nil {
		return w.made, nil
	}
	f := &facts{Parent: w.parent.String(), Inputs: map[string]string{}}
	p := w.stage.platform()
	f.put("the platform", p.String())
	f.put("the instruction", w.step.Meta().Title)
	switch s := w.step.(type) {
	case *dockerfile.Run:
		f.run(s, w.walker.req.Limits)
		for i := range w.in.sums {
			f.put("what is mounted at "+s.Mounts[i].Target, string(w.in.sums[i][:]))
		}
	case *dockerfile.Copy:
		f.put("the options", fmt.Sprint(s.Chown, s.Chmod, s.Link, s.Exclude, s.Checksum, s.Dest, s.Sources))
		if err := w.copyFacts(ctx, f, s); err != nil {
			return nil, err
		}
	case *dockerfile.Mkdir:
		f.put("the user", s.User)
	}
	w.made = f
	return f, nil
}

func (f *facts) put(name, value string) {
	sum := sha256.Sum256([]byte(value))
	f.Inputs[name] = hex.EncodeToString(sum[:8])
}

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

// copyFacts adds the files that a COPY selects from a context, or the digest of what it selects elsewhere.
func (w *work) copyFacts(ctx context.Context, f *facts, s *dockerfile.Copy) error {
	for _, file := range s.Inline {
		f.put("the text of "+file.Path, string(file.Data))
	}
	if s.From.Kind != dockerfile.FromContext {
		f.put("what it copies of "+s.From.Name, string(w.in.content[:]))
		return nil
	}
	tree, err := w.walker.sources.tree(ctx, s.From)
	if err != nil {
		return err
	}
	list := &fileLister{tree: tree, facts: f}
	if err := files.Selected(ctx, tree, s, list.file); errors.Is(err, errTooMany) {
		f.Inputs["one of the files of the context, or how they are copied,"] = w.recipes.own.String()
	} else if err != nil {
		return err
	}
	list.done()
	return nil
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
