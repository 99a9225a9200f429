// This file owns changes of a text at places of it.

package caching

import "slices"

// edit replaces a part of a text.
type edit struct {
	at, end int
	text    string
}

// apply makes the changes, from the last place to the first, so that the places before them stay right.
func apply(text string, edits []edit) string {
	slices.SortStableFunc(edits, func(a, b edit) int { return b.at - a.at })
	for _, e := range edits {
		text = text[:e.at] + e.text + text[e.end:]
	}
	return text
}
