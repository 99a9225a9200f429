// This file owns the page of results.

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// whats describe the rows, in the order of the page.
var whats = []struct{ row, what string }{
	{"W0-cold", "W0: a tiny image, nothing stored"},
	{"W0-changed", "W0: a tiny image, one file changed"},
	{"W1", "W1: the image of W3, nothing changed"},
	{"W2", "W2: the image of W3, one source file changed"},
	{"W3", "W3: pull a Python base, pip install, push; nothing stored"},
	{"W5", "W5: trivial RUN steps"},
	{"W6-cold", "W6: COPY of many files, nothing stored"},
	{"W6-again", "W6: COPY of many files, again"},
	{"pull", "pull and unpack a base of ten layers"},
	{"run-none", "start a container, no network"},
	{"run-default", "start a container, the tool's default network"},
}

// page is docs/benchmarks.md.
func (r *results) page(s size) string {
	var p strings.Builder
	p.WriteString("# Benchmarks\n\nWritten by `make bench`; do not edit. Everything is served on loopback: a registry (Debian's docker-registry) and a package index. " +
		"The builders take turns; each figure is the median of its runs. Builds end with the image in the registry, except for the pull. " +
		"CPU is user and system time of everything that ran. Memory is the resident high-water mark of the largest process; of the builder alone in W3, without pip. " +
		"The ratio is to the best of the others: below 1 is faster.\n\n")
	fmt.Fprintf(&p, "Measured on %s, size %s. ", r.Date, s.name)
	fmt.Fprintf(&p, "W3 installs %d packages of %d MB; W5 has %d steps; W6 copies %d files, %d MB; the pulled base has %d layers, %d MB.\n\n![walls](benchmarks.svg)\n\n",
		3+s.bigWheels+s.midWheels, (s.bigWheels*s.bigBytes+s.midWheels*(s.midBytes+s.midModules<<13))/1e6, s.steps, s.files, s.files*s.fileBytes/1e6, s.pullLayers, s.pullLayers*s.pullBytes/1e6)
	p.WriteString("| workload | builder | runs | wall | min – max | ratio | CPU | memory |\n|---|---|--:|--:|--:|--:|--:|--:|\n")
	for _, w := range whats {
		r.writeRow(&p, w.row, w.what)
	}
	r.writeInside(&p)
	r.writeLimits(&p)
	r.writeGrowth(&p)
	r.writeMachine(&p)
	return p.String()
}

func (r *results) writeRow(p *strings.Builder, name, what string) {
	for _, tool := range r.order(name) {
		row := r.Rows[name][tool]
		if row.Failed != "" {
			fmt.Fprintf(p, "| %s | %s | failed: %s | | | | | |\n", what, tool, strings.ReplaceAll(row.Failed, "|", "/"))
			continue
		}
		walls := pluck(row.Runs, func(u usage) time.Duration { return u.Wall })
		fmt.Fprintf(p, "| %s | %s | %d | %s | %s – %s | %s | %s | %.0f MB |\n", what, tool, len(row.Runs), seconds(row.wall()),
			seconds(slices.Min(walls)), seconds(slices.Max(walls)), r.ratio(name, tool), seconds(row.cpu()), float64(row.peak())/1e6)
		what = ""
	}
}

// order is gbuild, and then the others by name.
func (r *results) order(row string) []string {
	names := slices.Sorted(maps.Keys(r.Rows[row]))
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	return slices.DeleteFunc(names, func(n string) bool { row := r.Rows[row][n]; return row.Failed == "" && len(row.Runs) == 0 })
}

func rank(tool string) int {
	if tool == "gbuild" {
		return 0
	}
	return 1
}

// best is the least of what the other builders took, by some measure.
func (r *results) best(name, tool string, of func(*figures) time.Duration) time.Duration {
	var best time.Duration
	for other, row := range r.Rows[name] {
		if other == tool || row.Failed != "" || len(row.Runs) == 0 {
			continue
		}
		if took := of(row); best == 0 || took < best {
			best = took
		}
	}
	return best
}

func (r *results) ratio(name, tool string) string {
	best := r.best(name, tool, (*figures).wall)
	if tool != "gbuild" || best == 0 {
		return ""
	}
	return fmt.Sprintf("**%.2f**", r.Rows[name][tool].wall().Seconds()/best.Seconds())
}

// own is the builder's part of W3: the wall without pip.
func (r *figures) own() time.Duration {
	var walls []time.Duration
	for i, u := range r.Runs {
		if i < len(r.Inside) {
			walls = append(walls, u.Wall-r.Inside[i])
		}
	}
	return median(walls)
}

func (r *results) writeInside(p *strings.Builder) {
	if len(r.order("W3")) == 0 {
		return
	}
	p.WriteString("\n## W3 without pip\n\nThe time that pip took inside the step is taken off.\n\n| builder | wall | pip | builder's own | ratio |\n|---|--:|--:|--:|--:|\n")
	for _, tool := range r.order("W3") {
		row := r.Rows["W3"][tool]
		if row.Failed != "" {
			continue
		}
		ratio := ""
		if best := r.best("W3", tool, (*figures).own); tool == "gbuild" && best > 0 {
			ratio = fmt.Sprintf("**%.2f**", row.own().Seconds()/best.Seconds())
		}
		fmt.Fprintf(p, "| %s | %s | %s | %s | %s |\n", tool, seconds(row.wall()), seconds(median(row.Inside)), seconds(row.own()), ratio)
	}
}

func (r *results) writeLimits(p *strings.Builder) {
	if len(r.Limits) == 0 {
		return
	}
	p.WriteString("\n## Limits\n\n| what | gbuild | the limit | ratio | which limit |\n|---|--:|--:|--:|---|\n")
	for _, l := range r.Limits {
		if l.Beside == 0 {
			fmt.Fprintf(p, "| %s | %s | | | |\n", l.What, seconds(l.Got))
			continue
		}
		fmt.Fprintf(p, "| %s | %s | %s | %.2f | %s |\n", l.What, seconds(l.Got), seconds(l.Beside), l.Got.Seconds()/l.Beside.Seconds(), l.Of)
	}
}

func (r *results) writeGrowth(p *strings.Builder) {
	if len(r.Growth) == 0 {
		return
	}
	p.WriteString("\n## Growth\n\ngbuild from nothing, without a push, at 1, 4 and 16 times the first number. Growth is linear where the CPU time of a thousand (of a MB) does not rise.\n\n" +
		"| what | 1x is | wall 1x | 4x | 16x | CPU of 1000 at 1x | 4x | 16x | memory 1x | 4x | 16x |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, g := range r.Growth {
		fmt.Fprintf(p, "| %s | %d |", g.What, g.Unit)
		for _, wall := range g.Walls {
			fmt.Fprintf(p, " %s |", seconds(wall))
		}
		for i := range g.CPUs {
			fmt.Fprintf(p, " %s |", seconds(g.perUnit(i)))
		}
		for _, peak := range g.Peaks {
			fmt.Fprintf(p, " %.0f MB |", float64(peak)/1e6)
		}
		p.WriteString("\n")
	}
}

// perUnit is the CPU time of a thousand units, or of a megabyte where the unit is a byte.
func (g *growth) perUnit(i int) time.Duration {
	units := float64(g.Unit * times[i])
	if g.Unit >= 1<<20 {
		return time.Duration(float64(g.CPUs[i]) / units * 1e6)
	}
	return time.Duration(float64(g.CPUs[i]) / units * 1e3)
}

func (r *results) writeMachine(p *strings.Builder) {
	p.WriteString("\n## Machine and builders\n\n| | |\n|---|---|\n")
	for _, f := range r.Machine {
		fmt.Fprintf(p, "| %s | %s |\n", f.Name, f.Value)
	}
	for _, tool := range slices.Sorted(maps.Keys(r.Tools)) {
		fmt.Fprintf(p, "| %s | %s; %s |\n", tool, r.Tools[tool].Version, r.Tools[tool].How)
	}
	for _, tool := range slices.Sorted(maps.Keys(r.Absent)) {
		fmt.Fprintf(p, "| %s | not measured: %s |\n", tool, r.Absent[tool])
	}
	p.WriteString("\nThe CPU time of docker is that of the client, of its daemon and of what that waited for; containers of the classic builder are not in it.\n")
}

// seconds prints three figures that count.
func seconds(d time.Duration) string {
	switch s := d.Seconds(); {
	case s < 1:
		return fmt.Sprintf("%.1f ms", s*1000)
	case s < 10:
		return fmt.Sprintf("%.2f s", s)
	default:
		return fmt.Sprintf("%.1f s", s)
	}
}
