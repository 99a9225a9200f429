// Bench measures gbuild beside every other builder on PATH, on workloads that it makes from Debian's packages and
// generated files, with a registry and a package index on loopback. scripts/bench.sh starts it; docs/benchmarks.md is
// what it writes.
//
//	bench -gbuild BINARY -dir DIR -registry HOST:PORT [-size small|full] [-runs N] [-user NAME] [-out DIR] [WORKLOAD...]
//	bench measure        (its own child: runs what standard input says, and prints what that took)
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	run := runBench
	if len(os.Args) == 2 && os.Args[1] == "measure" {
		run = measureMain
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	gbuild, dir, registry, user, out string
	size                             size
	runs                             int
	budget                           time.Duration // a tool that took longer for a workload is not run again
	tools, workloads                 []string      // empty: all
}

func parseOptions() (options, error) {
	var o options
	var named, tools string
	flag.StringVar(&o.gbuild, "gbuild", "./gbuild", "the `binary` to measure")
	flag.StringVar(&o.dir, "dir", "", "`directory` of everything that is made, kept for the next time")
	flag.StringVar(&o.registry, "registry", "", "`host:port` of a registry whose data are in DIR/registry/data")
	flag.StringVar(&o.user, "user", "", "ordinary `user` to run as where a builder can")
	flag.StringVar(&o.out, "out", "", "`directory` of benchmarks.md and benchmarks.svg (default DIR)")
	flag.StringVar(&named, "size", "full", "small or full")
	flag.StringVar(&tools, "tools", "", "builders to run, separated by spaces (default all)")
	flag.IntVar(&o.runs, "runs", 3, "runs of each builder in each workload")
	flag.DurationVar(&o.budget, "budget", time.Minute, "a builder that took longer in a workload is not run again")
	flag.Parse()
	o.workloads, o.tools = flag.Args(), strings.Fields(tools)
	if o.out == "" {
		o.out = o.dir
	}
	var known bool
	if o.size, known = sizes[named]; !known || o.dir == "" || o.registry == "" {
		return o, fmt.Errorf("needs -dir and -registry, and a -size of small or full (scripts/bench.sh gives them)")
	}
	for _, w := range o.workloads {
		if !slices.ContainsFunc(workloads, func(known workload) bool { return known.has(w) }) {
			return o, fmt.Errorf("no workload %q: there are %s", w, strings.Join(workloadNames(), " "))
		}
	}
	return o, nil
}

func runBench(ctx context.Context) error {
	o, err := parseOptions()
	if err != nil {
		return err
	}
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	for _, w := range workloads {
		if len(o.workloads) > 0 && !slices.ContainsFunc(o.workloads, w.has) {
			continue
		}
		b.say("%s: %s", strings.Join(w.rows, " "), w.what)
		b.results.forget(w.rows)
		if err := w.run(ctx, b); err != nil {
			return fmt.Errorf("running %s: %w", w.rows[0], err)
		}
		b.forgetAll(ctx)
		if err := b.results.save(); err != nil {
			return err
		}
	}
	return b.report()
}

// report writes the page and the plot of all results that are kept.
func (b *bench) report() error {
	page, plot := b.results.page(b.size), b.results.plot()
	if err := os.WriteFile(filepath.Join(b.out, "benchmarks.md"), []byte(page), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.out, "benchmarks.svg"), []byte(plot), 0o644); err != nil {
		return err
	}
	fmt.Print(page)
	return nil
}
