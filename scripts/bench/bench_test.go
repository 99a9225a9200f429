package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func took(seconds ...float64) []usage {
	return pluck(seconds, func(s float64) usage { return usage{Wall: time.Duration(s * float64(time.Second)), Peak: 30e6} })
}

func TestPage(t *testing.T) {
	r := loadResults(filepath.Join(t.TempDir(), "none"))
	*r.figures("W3", "gbuild") = figures{Runs: took(40, 41, 45), Inside: []time.Duration{30e9, 30e9, 30e9}}
	*r.figures("W3", "slow") = figures{Runs: took(130), Inside: []time.Duration{30e9}}
	*r.figures("W3", "best") = figures{Runs: took(82), Inside: []time.Duration{38e9}}
	*r.figures("W3", "broken") = figures{Failed: "no|space"}
	page := r.page(sizes["small"])
	for _, want := range []string{
		"| W3: pull a Python base, pip install, push; nothing stored | gbuild | 3 | 41.0 s | 40.0 s – 45.0 s | **0.50** |",
		"|  | slow | 1 | 130.0 s | 130.0 s – 130.0 s |  |",
		"| broken | failed: no/space |",
		"| gbuild | 41.0 s | 30.0 s | 11.0 s | **0.25** |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if plot := r.plot(); strings.Count(plot, "<rect") != 4 {
		t.Errorf("a bar for each that did not fail, and the ground: %s", plot)
	}
}

func TestResultsAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.json")
	r := loadResults(path)
	r.figures("W5", "gbuild").Runs = took(1)
	r.figures("W6-cold", "gbuild").Runs = took(2)
	if err := r.save(); err != nil {
		t.Fatal(err)
	}
	again := loadResults(path)
	again.forget([]string{"W6-cold"})
	if again.figures("W5", "gbuild").wall() != time.Second || len(again.Rows["W6-cold"]) != 0 {
		t.Errorf("rows: %v", again.Rows)
	}
}

// The memory of a process is that of the largest that ran below it, and its time is at least what it slept.
func TestMeasureOne(t *testing.T) {
	u, err := measureOne(context.Background(), []string{"sh", "-c", "head -c 40000000 /dev/zero | tail -c 40000000 >/dev/null; sleep 0.1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if u.Wall < 100*time.Millisecond || u.CPU == 0 || u.Peak < 40e6 {
		t.Errorf("%+v", u)
	}
	if _, err := measureOne(context.Background(), []string{"false"}, nil); err == nil {
		t.Error("a command that fails is measured")
	}
}

func TestCompressAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bytes")
	if err := os.WriteFile(file, []byte(text(random(1), 3<<20+5)), 0o644); err != nil {
		t.Fatal(err)
	}
	if took, err := timed(file, compressAlone); err != nil || took == 0 {
		t.Errorf("took %v: %v", took, err)
	}
}

func TestWorkloadNames(t *testing.T) {
	for _, name := range []string{"W0", "W0-cold", "W1", "run", "growth"} {
		found := 0
		for _, w := range workloads {
			if w.has(name) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%s names %d workloads", name, found)
		}
	}
}
