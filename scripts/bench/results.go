// This file owns the results, which are kept between runs, and their medians.

package main

import (
	"cmp"
	"encoding/json"
	"os"
	"slices"
	"time"
)

// results are kept between runs, so that one workload can be run again by itself.
type results struct {
	path    string
	Date    string
	Machine []fact
	Tools   map[string]toolFacts
	Absent  map[string]string              // tool → why
	Rows    map[string]map[string]*figures // workload → tool
	Limits  []limit
	Growth  []growth
}

// toolFacts say which builder was measured, and how it ran.
type toolFacts struct{ Version, How string }

// figures are what one tool took for one workload.
type figures struct {
	Runs   []usage
	Inside []time.Duration // of the user's own command, where the workload measures it
	Failed string
}

// limit is a figure beside the one that it is held against.
type limit struct {
	What        string
	Got, Beside time.Duration
	Of          string // what Beside is
}

// growth is what a workload took at 1x, 4x and 16x.
type growth struct {
	What  string
	Unit  int // of 1x
	Walls [3]time.Duration
	CPUs  [3]time.Duration
	Peaks [3]int64
}

// fact is a line about the machine.
type fact struct{ Name, Value string }

func loadResults(path string) *results {
	r := &results{path: path}
	if data, err := os.ReadFile(path); err == nil {
		_ = json.Unmarshal(data, r) // what cannot be read is measured again
	}
	if r.Rows == nil {
		r.Tools, r.Absent, r.Rows = map[string]toolFacts{}, map[string]string{}, map[string]map[string]*figures{}
	}
	return r
}

func (r *results) save() error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(r.path, data, 0o644)
}

func (r *results) forget(rows []string) {
	for _, name := range rows {
		delete(r.Rows, name)
	}
}

func (r *results) figures(name, tool string) *figures {
	if r.Rows[name] == nil {
		r.Rows[name] = map[string]*figures{}
	}
	if r.Rows[name][tool] == nil {
		r.Rows[name][tool] = &figures{}
	}
	return r.Rows[name][tool]
}

func median[T cmp.Ordered](values []T) T {
	var zero T
	if len(values) == 0 {
		return zero
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}

func (r *figures) wall() time.Duration {
	return median(pluck(r.Runs, func(u usage) time.Duration { return u.Wall }))
}
func (r *figures) cpu() time.Duration {
	return median(pluck(r.Runs, func(u usage) time.Duration { return u.CPU }))
}
func (r *figures) peak() int64 { return median(pluck(r.Runs, func(u usage) int64 { return u.Peak })) }

func pluck[A, B any](from []A, what func(A) B) []B {
	out := make([]B, len(from))
	for i, v := range from {
		out[i] = what(v)
	}
	return out
}
