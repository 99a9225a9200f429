// This file owns the list of workloads, and those of builds.

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// workload is one scenario; its rows are measured together, because the later ones begin with what the first made.
type workload struct {
	rows []string
	what string
	run  func(context.Context, *bench) error
}

var workloads = []workload{
	{[]string{"W0-cold", "W0-changed"}, "a tiny image from nothing, and again with one file changed", tiny},
	{[]string{"W3", "W1", "W2"}, "an image of machine learning from nothing, unchanged, and with one source file changed", learning},
	{[]string{"W5"}, "trivial RUN steps", manySteps},
	{[]string{"W6-cold", "W6-again"}, "COPY of many files from nothing, and again", manyFiles},
	{[]string{"pull"}, "a base of ten layers pulled and unpacked for one trivial RUN", pull},
	{[]string{"run-none", "run-default"}, "starting a container", starting},
	{[]string{"limits"}, "what the hardware and single programs allow", limits},
	{[]string{"growth"}, "how the cost grows", growing},
}

func (w workload) has(name string) bool {
	for _, r := range w.rows {
		if group, _, _ := cutRow(r); r == name || group == name {
			return true
		}
	}
	return false
}

var rowName = regexp.MustCompile(`^([^-]+)-(.*)$`)

func cutRow(r string) (group, rest string, ok bool) {
	if m := rowName.FindStringSubmatch(r); m != nil {
		return m[1], m[2], true
	}
	return r, "", false
}

func workloadNames() []string {
	var names []string
	for _, w := range workloads {
		names = append(names, w.rows...)
	}
	return names
}

// contest lets the tools take turns at one workload. One that fails is out, one that was slow has run often enough.
type contest struct {
	*bench
	spent map[string]time.Duration
	out   map[string]bool
}

func (b *bench) contest() *contest {
	return &contest{b, map[string]time.Duration{}, map[string]bool{}}
}

// rounds calls one for each tool in turn, as often as runs says.
func (c *contest) rounds(ctx context.Context, runs int, one func(t *tool, round int) error) error {
	for round := range runs {
		for _, t := range c.tools {
			if c.out[t.name] || round > 0 && c.spent[t.name] > c.budget {
				continue
			}
			if err := one(t, round); err != nil {
				c.out[t.name] = true
				c.say("%s: %v", t.name, err)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// time measures a build and notes it in a row.
func (c *contest) time(ctx context.Context, rowName string, t *tool, j job, watch bool) error {
	r := c.results.figures(rowName, t.name)
	u, err := c.measure(ctx, t, c.log(t, rowName), watch, t.build(j)...)
	if err != nil {
		r.Failed = err.Error()
		return err
	}
	c.spent[t.name] += u.Wall
	r.Runs = append(r.Runs, u)
	c.say("%-10s %-18s %8.3f s  %5.0f MB", rowName, t.name, u.Wall.Seconds(), float64(u.Peak)/1e6)
	return nil
}

func tiny(ctx context.Context, b *bench) error {
	c := b.contest()
	dir := b.contexts + "/tiny"
	return c.rounds(ctx, b.runs, func(t *tool, round int) error {
		j := job{dir: dir, ref: b.ref(fmt.Sprintf("w0-%d", round), t), push: true}
		if err := b.forget(ctx, t); err != nil {
			return err
		}
		if err := c.time(ctx, "W0-cold", t, j, false); err != nil {
			return err
		}
		if err := touch(dir + "/main.sh"); err != nil {
			return err
		}
		return c.time(ctx, "W0-changed", t, j, false)
	})
}

// touch changes one source file to something that it never was.
func touch(path string) error {
	return os.WriteFile(path, fmt.Appendf(nil, "# %d\n", time.Now().UnixNano()), 0o644)
}

func learning(ctx context.Context, b *bench) error {
	c := b.contest()
	refs := map[string]string{} // of the last round
	j := func(t *tool) job {
		return job{dir: b.contexts + "/learning", ref: refs[t.name], push: true, args: []string{"INDEX=" + b.indexURL}}
	}
	err := c.rounds(ctx, b.runs, func(t *tool, round int) error {
		refs[t.name] = b.ref(fmt.Sprintf("w3-%d", round), t)
		if err := b.forget(ctx, t); err != nil {
			return err
		}
		if err := c.time(ctx, "W3", t, j(t), true); err != nil {
			return err
		}
		r := b.results.figures("W3", t.name)
		own, err := insideTime(b.log(t, "W3"))
		r.Inside = append(r.Inside, own)
		return err
	})
	if err != nil {
		return err
	}
	c.spent = map[string]time.Duration{}
	if err := c.rounds(ctx, b.size.quick, func(t *tool, _ int) error { return c.time(ctx, "W1", t, j(t), false) }); err != nil {
		return err
	}
	return c.rounds(ctx, b.runs, func(t *tool, _ int) error {
		if err := touch(b.contexts + "/learning/src/train.py"); err != nil {
			return err
		}
		return c.time(ctx, "W2", t, j(t), false)
	})
}

var inside = regexp.MustCompile(`bench-inside-ms (\d+)`)

// insideTime is how long the user's command said that it took.
func insideTime(log string) (time.Duration, error) {
	data, err := os.ReadFile(log)
	if err != nil {
		return 0, err
	}
	all := inside.FindAllSubmatch(data, -1)
	if len(all) == 0 {
		return 0, fmt.Errorf("%s does not say how long the command itself took", filepath.Base(log))
	}
	ms, err := strconv.Atoi(string(all[len(all)-1][1]))
	return time.Duration(ms) * time.Millisecond, err
}

func manySteps(ctx context.Context, b *bench) error {
	c := b.contest()
	return c.rounds(ctx, b.runs, func(t *tool, round int) error {
		j := job{dir: b.contexts + "/steps", ref: b.ref("w5", t), push: true, args: []string{fmt.Sprintf("ROUND=%d", round)}}
		if round == 0 { // the base is there
			if _, err := b.measure(ctx, t, b.log(t, "W5"), false, t.build(job{dir: b.contexts + "/probe", ref: b.ref("probe", t)})...); err != nil {
				return err
			}
		}
		return c.time(ctx, "W5", t, j, false)
	})
}

func manyFiles(ctx context.Context, b *bench) error {
	c := b.contest()
	return c.rounds(ctx, b.runs, func(t *tool, round int) error {
		j := job{dir: b.contexts + "/files", ref: b.ref(fmt.Sprintf("w6-%d", round), t), push: true}
		if err := b.forget(ctx, t); err != nil {
			return err
		}
		if err := c.time(ctx, "W6-cold", t, j, false); err != nil {
			return err
		}
		return c.time(ctx, "W6-again", t, j, false)
	})
}

func pull(ctx context.Context, b *bench) error {
	c := b.contest()
	return c.rounds(ctx, b.runs, func(t *tool, _ int) error {
		if err := b.forget(ctx, t); err != nil {
			return err
		}
		return c.time(ctx, "pull", t, job{dir: b.contexts + "/pull", ref: b.ref("pull", t)}, false)
	})
}
