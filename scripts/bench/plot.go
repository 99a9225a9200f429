// This file owns the plot of results.

package main

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// The measures of the plot, in pixels.
const (
	plotWidth  = 860
	plotLeft   = 320 // where bars begin
	barHeight  = 14
	groupSpace = 12
)

// plot is docs/benchmarks.svg: a bar for each builder in each workload, on a logarithmic scale from 10 ms.
func (r *results) plot() string {
	var bars strings.Builder
	y := 30
	for _, w := range whats {
		tools := r.order(w.row)
		if len(tools) == 0 {
			continue
		}
		fmt.Fprintf(&bars, `<text x="4" y="%d">%s</text>`+"\n", y+barHeight-3, html.EscapeString(w.what))
		y += barHeight + 2
		for _, tool := range tools {
			y = r.bar(&bars, y, w.row, tool)
		}
		y += groupSpace
	}
	for _, g := range r.Growth {
		y = g.bars(&bars, y) + groupSpace
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">
<rect width="100%%" height="100%%" fill="#fff"/>
%s%s</svg>
`, plotWidth, y+10, grid(y), bars.String())
}

func (r *results) bar(bars *strings.Builder, y int, name, tool string) int {
	row := r.Rows[name][tool]
	if row.Failed != "" {
		return y
	}
	colour := "#9aa7b5"
	if tool == "gbuild" {
		colour = blue
	}
	return drawBar(bars, y, tool, row.wall(), colour)
}

// bars shows the CPU time at each size: what grows in proportion has steps of the same length, on this scale.
func (g *growth) bars(bars *strings.Builder, y int) int {
	fmt.Fprintf(bars, `<text x="4" y="%d">growth: CPU time of %s</text>`+"\n", y+barHeight-3, html.EscapeString(g.What))
	y += barHeight + 2
	for i, cpu := range g.CPUs {
		y = drawBar(bars, y, fmt.Sprint(g.Unit*times[i]), cpu, blue)
	}
	return y
}

const blue = "#1f77b4"

func drawBar(bars *strings.Builder, y int, label string, length time.Duration, colour string) int {
	fmt.Fprintf(bars, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%d" height="%d" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n",
		plotLeft-6, y+barHeight-3, html.EscapeString(label), plotLeft, y, across(length), barHeight-2, colour,
		plotLeft+across(length)+4, y+barHeight-3, seconds(length))
	return y + barHeight
}

// across is the length of a bar: every tenfold is as long as every other, from 10 ms to 200 s.
func across(d time.Duration) int {
	decades := math.Log10(max(d.Seconds(), 0.0101) / 0.01)
	return int(decades / math.Log10(20000) * (plotWidth - plotLeft - 70))
}

func grid(height int) string {
	var lines strings.Builder
	for _, d := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second, 100 * time.Second} {
		x := plotLeft + across(d)
		fmt.Fprintf(&lines, `<line x1="%d" y1="20" x2="%d" y2="%d" stroke="#ddd"/><text x="%d" y="14" text-anchor="middle" fill="#666">%s</text>`+"\n", x, x, height, x, d)
	}
	return lines.String()
}
