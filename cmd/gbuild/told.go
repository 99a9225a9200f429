package main

import (
	"encoding/json"
	"slices"

	"github.com/gbuild/gbuild/pkg/build"
)

// told is what a process has shown of a build before another one goes on with it, from the start. That one says nothing of
// it again, and numbers its own lines after those.
type told struct {
	Lines []toldLine
	Texts map[string]int // by textOf; how often
}

// toldLine is a line of work; its number is one more than its index.
type toldLine struct {
	Title   string
	Ended   bool
	Resumed bool
}

// titleOf is the title of a line that was shown under this number.
func (t *told) titleOf(number int) string {
	if number < 1 || number > len(t.Lines) {
		return ""
	}
	return t.Lines[number-1].Title
}

// add remembers an Event that is shown.
func (t *told) add(e build.Event) {
	switch e.Type {
	case build.Started:
		for len(t.Lines) < e.Step {
			t.Lines = append(t.Lines, toldLine{})
		}
		t.Lines[e.Step-1].Title = e.Title
		return
	case build.Done, build.Failed:
		if e.Step > 0 && e.Step <= len(t.Lines) {
			t.Lines[e.Step-1].Ended = true
		}
	}
	if text := textOf(e, t.titleOf(e.Step)); text != "" {
		if t.Texts == nil {
			t.Texts = map[string]int{}
		}
		t.Texts[text]++
	}
}

// textOf is what an Event says, of a line with this title; empty for one that only moves it on.
func textOf(e build.Event, title string) string {
	switch e.Type {
	case build.Notice, build.Warned, build.Cache, build.Explained, build.Failed:
		text, err := json.Marshal([]any{e.Type, title, e.Text, e.Warning})
		if err != nil {
			return ""
		}
		return string(text)
	}
	return ""
}

// retelling leaves out of a build's Events what was told before.
type retelling struct {
	before  told
	last    int                 // number of the last line
	numbers map[int]int         // of lines that are shown, by the number in this process
	hidden  map[int]build.Event // lines that were told to their end, and how they began
}

func newRetelling(before told) *retelling {
	return &retelling{before: before, last: len(before.Lines), numbers: map[int]int{}, hidden: map[int]build.Event{}}
}

// filter returns what is still to be shown of an Event. A line that was told in part is resumed: its title stands there.
func (r *retelling) filter(e build.Event) (show []build.Event, resumed bool) {
	if e.Step == 0 {
		return r.unlessTold(e, ""), false
	}
	if e.Type == build.Started {
		return r.begin(e)
	}
	if start, ok := r.hidden[e.Step]; ok {
		if e.Type != build.Failed || len(r.unlessTold(e, start.Title)) == 0 {
			return nil, false
		}
		delete(r.hidden, e.Step) // it went well before
		return []build.Event{r.number(start), r.renumbered(e)}, false
	}
	e = r.renumbered(e)
	return r.unlessTold(e, r.before.titleOf(e.Step)), false
}

func (r *retelling) begin(e build.Event) (show []build.Event, resumed bool) {
	i := slices.IndexFunc(r.before.Lines, func(l toldLine) bool { return l.Title == e.Title && !l.Resumed })
	if i < 0 {
		return []build.Event{r.number(e)}, false
	}
	line := &r.before.Lines[i]
	line.Resumed = true
	if line.Ended {
		r.hidden[e.Step] = e
		return nil, false
	}
	r.numbers[e.Step] = i + 1
	return []build.Event{r.renumbered(e)}, true
}

// number gives a line the next number.
func (r *retelling) number(e build.Event) build.Event {
	r.last++
	r.numbers[e.Step] = r.last
	return r.renumbered(e)
}

func (r *retelling) renumbered(e build.Event) build.Event {
	e.Step = r.numbers[e.Step]
	return e
}

func (r *retelling) unlessTold(e build.Event, title string) []build.Event {
	text := textOf(e, title)
	if r.before.Texts[text] > 0 {
		r.before.Texts[text]--
		return nil
	}
	return []build.Event{e}
}
