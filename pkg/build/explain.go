// This file owns what is said of a step with --explain: why it runs, or why not.

package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gbuild/gbuild/internal/recipe"
	"github.com/gbuild/gbuild/pkg/build/reasons"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
)

// recordFacts is the kind of the records that keep what a step was made of when it last ran, under its place: so that
// the next build can say what has changed since.
const recordFacts = "facts"

// placeKey names what --explain compares: the step of that number, in that stage, of that Dockerfile.
func (w *work) placeKey() layers.Key {
	r := recipe.New("place", layers.Key{})
	r.Text(w.build.req.Place, w.stage.name(), strconv.Itoa(slices.Index(w.stage.steps, w.step)))
	return r.Key()
}

// explain says why the step runs.
func (w *work) explain(ctx context.Context) {
	if w.build.req.Explain {
		w.build.events.report(Event{Type: Explained, Step: w.begin(), Text: "runs: " + w.reason(ctx)})
	}
}

// explainHit says why it need not.
func (w *work) explainHit(out layers.Key) {
	if !w.build.req.Explain {
		return
	}
	text := "stored: nothing that it depends on has changed"
	if im := w.build.states.importOf(out); im != nil && im.cache != "" {
		text = "from cache " + im.cache + ": another machine has made it of the same"
	}
	w.build.events.report(Event{Type: Explained, Step: w.begin(), Text: text})
}

// reason compares what the step is made of with what it was made of the last time.
func (w *work) reason(ctx context.Context) string {
	if w.rerun {
		return "--no-cache asks for it"
	}
	var old reasons.Facts
	data, ok := w.build.store.Recall(recordFacts, w.placeKey())
	if !ok || json.Unmarshal(data, &old) != nil {
		return "there is no result of it, and no earlier build of this Dockerfile to compare with"
	}
	now, err := w.facts(ctx)
	if err != nil {
		return err.Error()
	}
	if all := now.Since(&old); len(all) > 0 {
		return strings.Join(all, "; ")
	}
	return "its result is stored no longer"
}

// keepFacts notes what the step was made of, for a later build.
func (w *work) keepFacts(ctx context.Context) error {
	if w.build.req.Place == "" {
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
	return w.build.store.Remember(recordFacts, w.placeKey(), data)
}

// facts collects them once, from the digests that the key was made of.
func (w *work) facts(ctx context.Context) (*reasons.Facts, error) {
	if w.made != nil {
		return w.made, nil
	}
	f := &reasons.Facts{Parent: w.parent.String(), Inputs: map[string]string{}}
	p := w.stage.platform()
	f.Put("the platform", p.String())
	f.Put("the instruction", w.step.Meta().Title)
	switch s := w.step.(type) {
	case *dockerfile.Run:
		l := w.build.req.Limits
		f.Run(s, fmt.Sprint(l.ShmSize, l.Ulimits, l.hostNames()))
		for i := range w.in.sums {
			f.Put("what is mounted at "+s.Mounts[i].Target, string(w.in.sums[i][:]))
		}
	case *dockerfile.Copy:
		f.Put("the options", fmt.Sprint(s.Chown, s.Chmod, s.Link, s.Exclude, s.Checksum, s.Dest, s.Sources))
		if err := w.copyFacts(ctx, f, s); err != nil {
			return nil, err
		}
	case *dockerfile.Mkdir:
		f.Put("the user", s.User)
	}
	w.made = f
	return f, nil
}

// copyFacts adds the files that a COPY selects from a context, or the digest of what it selects elsewhere.
func (w *work) copyFacts(ctx context.Context, f *reasons.Facts, s *dockerfile.Copy) error {
	for _, file := range s.Inline {
		f.Put("the text of "+file.Path, string(file.Data))
	}
	if s.From.Kind != dockerfile.FromContext {
		f.Put("what it copies of "+s.From.Name, string(w.in.content[:]))
		return nil
	}
	tree, err := w.build.sources.tree(ctx, s.From)
	if err != nil {
		return err
	}
	list := &reasons.FileLister{Tree: tree, Facts: f}
	if err := files.Selected(ctx, tree, s, list.File); errors.Is(err, reasons.ErrTooMany) {
		f.Inputs["one of the files of the context, or how they are copied,"] = w.recipes.own.String()
	} else if err != nil {
		return err
	}
	list.Done()
	return nil
}
