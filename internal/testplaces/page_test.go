// This file owns the tables of docs/where-it-runs.md: they are written from what came of the places, and held against the table.

package testplaces

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/internal/testimage"
)

const (
	page  = "../../docs/where-it-runs.md"
	start = "<!-- written by make places -->\n"
	end   = "<!-- end -->\n"
	head  = "| place | (a) | (b) | (c) | isolation | what gbuild says | what would be better |\n|---|---|---|---|---|---|---|\n"
)

// TestPage holds the page against the table: each place has its row, with the same results.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rows, _ := strings.Cut(string(text), start+head)
	rows, _, found := strings.Cut(rows, end)
	if !found {
		t.Fatalf("%s has no table between %q and %q", page, start, end)
	}
	lines := strings.Split(strings.TrimSuffix(rows, "\n"), "\n")
	if len(lines) != len(places) {
		t.Fatalf("%s has %d places, and the table %d: make places", page, len(lines), len(places))
	}
	for i, p := range places {
		if !strings.HasPrefix(lines[i], p.results()) {
			t.Errorf("%s has\n%s\nand the table\n%s\n(make places)", page, lines[i], p.results())
		}
	}
}

// TestPageOfOthers holds what the page says of gbuild beside other builders against the table.
func TestPageOfOthers(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, others, found := strings.Cut(string(text), "\n| place | gbuild |")
	if !found {
		t.Fatalf("%s compares gbuild with nothing", page)
	}
	rows := 0
	for line := range strings.Lines(others) {
		cells := strings.Split(line, " | ")
		at := slices.IndexFunc(places, func(p place) bool { return "| "+p.title == cells[0] })
		switch {
		case len(cells) < 5:
		case at < 0:
			t.Errorf("no place is called %q", cells[0])
		case cells[1] != places[at].want.built():
			t.Errorf("%s: the page says %s, and the table %s", cells[0], cells[1], places[at].want.built())
		default:
			rows++
		}
	}
	if rows == 0 {
		t.Errorf("%s compares nothing", page)
	}
}

// built are the letters of the Dockerfiles that are built.
func (w want) built() string {
	var letters []string
	for _, d := range []struct {
		letter string
		code   int
	}{{"(a)", w.a}, {"(b)", w.b}, {"(c)", w.c}} {
		if d.code == 0 {
			letters = append(letters, d.letter)
		}
	}
	return cmp.Or(strings.Join(letters, " "), "none")
}

// results is the beginning of a row.
func (p place) results() string {
	return fmt.Sprintf("| %s | %s | %s | %s | %s |", p.title, ended(p.want.a), ended(p.want.b), ended(cmp.Or(p.want.agent, p.want.c)), p.want.mode)
}

// ended is an exit status in words.
func ended(code int) string {
	if code == 0 {
		return "built"
	}
	return fmt.Sprintf("no (%d)", code)
}

// writePage puts what came of the places into the page. A place that could not be made keeps its row.
func writePage(t *testing.T, w *world) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), start)
	old, after, found := strings.Cut(rest, end)
	if !found {
		t.Fatalf("%s has no table between %q and %q", page, start, end)
	}
	table := head
	for _, p := range places {
		got, ran := w.results[p.name]
		if !ran {
			table += keptRow(old, p.title)
			continue
		}
		p.want = got.want
		says, better := sentences(w, got)
		table += p.results() + " " + says + " | " + better + " |\n"
	}
	if err := os.WriteFile(page, []byte(before+start+table+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// keptRow is the row of a place that is on the page already.
func keptRow(table, title string) string {
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "| "+title+" |") {
			return line
		}
	}
	return ""
}

var (
	errorLine  = regexp.MustCompile(`(?m)^gbuild: error: (?:Dockerfile:\d+: |RUN at Dockerfile:\d+ needs namespaces of its own: )?(.*)$`)
	hintLine   = regexp.MustCompile(`(?m)^gbuild: hint: (.*)$`)
	modeLine   = regexp.MustCompile(`(?m)^.*?\b(isolation [a-z-]+[:,].*|HOME is not set.*)$`)
	processIDs = regexp.MustCompile(`/proc/\d+/`)
)

// sentences are what (b) said of the place, and what it said would be better.
func sentences(w *world, r result) (says, better string) {
	out := r.said["b"]
	if m := errorLine.FindStringSubmatch(out); m != nil {
		says = m[1]
		if h := hintLine.FindStringSubmatch(out); h != nil {
			better = h[1]
		}
	} else if m := modeLine.FindStringSubmatch(out); m != nil {
		says, better, _ = strings.Cut(m[1], ". Better: ")
	}
	tidy := func(s string) string {
		s = strings.ReplaceAll(processIDs.ReplaceAllString(s, "/proc/PID/"), w.dir, "…")
		return strings.ReplaceAll(strings.ReplaceAll(s, w.registry.Host(), "registry"), "|", `\|`)
	}
	return tidy(says), tidy(better)
}

// TestTidySentences shows what becomes of a build's words in the page.
func TestTidySentences(t *testing.T) {
	w := &world{dir: "/var/tmp/gbuild-places-1", registry: testimage.NewRegistry()}
	defer w.registry.Close()
	said := "#2 isolation rootless-single: 4321 has no range: owners are kept beside the files. Better: add a range\n"
	says, better := sentences(w, result{said: map[string]string{"b": said}})
	if says != "isolation rootless-single: 4321 has no range: owners are kept beside the files" || better != "add a range" {
		t.Errorf("%q, %q", says, better)
	}
	said = "1 | >>> RUN true\ngbuild: error: Dockerfile:2: write /proc/19/uid_map: a|b in /var/tmp/gbuild-places-1/x\ngbuild: hint: do this\n"
	says, better = sentences(w, result{said: map[string]string{"b": said}})
	if says != `write /proc/PID/uid_map: a\|b in …/x` || better != "do this" {
		t.Errorf("%q, %q", says, better)
	}
}
