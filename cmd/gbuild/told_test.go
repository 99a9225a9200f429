package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// What one process showed, the next one leaves out; its own lines have the numbers that follow.
func TestRetelling(t *testing.T) {
	warning := func(line int) build.Event {
		return build.Event{Type: build.Warned, Warning: &dockerfile.Warning{Rule: "R", Location: dockerfile.Location{Start: line}}}
	}
	var first told
	for _, e := range []build.Event{
		{Type: build.Notice, Text: "once"}, warning(1),
		{Type: build.Started, Step: 1, Title: "metadata"}, {Type: build.Started, Step: 2, Title: "COPY"}, {Type: build.Explained, Step: 2, Text: "runs"},
		{Type: build.Done, Step: 1},
	} {
		first.add(e)
	}
	r := newRetelling(first)
	var got []string
	for _, e := range []build.Event{
		{Type: build.Notice, Text: "once"}, {Type: build.Notice, Text: "once"}, warning(1), warning(2),
		{Type: build.Started, Step: 1, Title: "new"}, {Type: build.Started, Step: 2, Title: "metadata"}, {Type: build.Done, Step: 2},
		{Type: build.Log, Step: 1}, {Type: build.Started, Step: 3, Title: "COPY"}, {Type: build.Explained, Step: 3, Text: "runs"}, {Type: build.Done, Step: 3},
		{Type: build.Started, Step: 4, Title: "metadata"}, {Type: build.Failed, Step: 4, Text: "no"}, {Type: build.Done, Step: 1},
	} {
		show, resumed := r.filter(e)
		for _, e := range show {
			line := 0
			if e.Warning != nil {
				line = e.Warning.Location.Start
			}
			got = append(got, fmt.Sprintf("%s %d %s%s %d %t", e.Type, e.Step, e.Title, e.Text, line, resumed))
		}
	}
	want := []string{
		"notice 0 once 0 false", "warning 0  2 false", "started 3 new 0 false", "log 3  0 false", "started 2 COPY 0 true", "done 2  0 false",
		"started 4 metadata 0 false", "failed 4 no 0 false", "done 3  0 false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// A line that was told and fails only now is shown after all.
func TestALineThatFailsTheSecondTimeIsShown(t *testing.T) {
	var first told
	first.add(build.Event{Type: build.Started, Step: 1, Title: "metadata"})
	first.add(build.Event{Type: build.Done, Step: 1})
	r := newRetelling(first)
	if show, _ := r.filter(build.Event{Type: build.Started, Step: 1, Title: "metadata"}); len(show) > 0 {
		t.Error(show)
	}
	show, _ := r.filter(build.Event{Type: build.Failed, Step: 1, Text: "no"})
	if len(show) != 2 || show[0].Type != build.Started || show[0].Step != 2 || show[1].Type != build.Failed || show[1].Step != 2 {
		t.Error(show)
	}
}
