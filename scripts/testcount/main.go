// Testcount reads the events of `go tool test2json` from standard input and prints what a reader wants of them: a line for
// each package, the output of tests that failed, why tests were skipped, and at the end "N passed, N failed, N skipped".
// It fails when a test failed, a package could not be built, or no test passed.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64 // seconds
}

type counter struct {
	out                     io.Writer
	passed, failed, skipped int
	output                  map[string][]string // of tests that run, by package and name
}

func main() {
	c := &counter{out: os.Stdout, output: map[string][]string{}}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil || e.Action == "" {
			fmt.Fprintln(c.out, in.Text()) // not an event: something went wrong before the tests
			continue
		}
		c.count(e)
	}
	fmt.Fprintf(c.out, "%d passed, %d failed, %d skipped\n", c.passed, c.failed, c.skipped)
	if in.Err() != nil || c.failed > 0 || c.passed == 0 {
		os.Exit(1)
	}
}

func (c *counter) count(e event) {
	switch {
	case e.Action == "build-output":
		fmt.Fprint(c.out, e.Output)
	case e.Test == "":
		c.countPackage(e)
	default:
		c.countTest(e)
	}
}

func (c *counter) countPackage(e event) {
	switch {
	case e.Action == "pass":
		fmt.Fprintf(c.out, "ok %s %.1f s\n", e.Package, e.Elapsed)
	case e.Action == "fail":
		c.failed++
		fmt.Fprintf(c.out, "FAIL %s\n", e.Package)
	case e.Action == "output" && e.Output != "PASS\n" && e.Output != "FAIL\n" && !strings.Contains(e.Output, "[no test files]"):
		fmt.Fprint(c.out, e.Output)
	}
}

func (c *counter) countTest(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		c.output[key] = append(c.output[key], e.Output)
		return
	case "pass":
		c.passed++
	case "fail":
		c.failed++
		fmt.Fprintf(c.out, "--- FAIL: %s\n%s", key, strings.Join(c.output[key], ""))
	case "skip":
		c.skipped++
		fmt.Fprintf(c.out, "--- SKIP: %s: %s\n", key, reason(c.output[key]))
	default:
		return
	}
	delete(c.output, key)
}

// reason is what a test said when it skipped itself.
func reason(output []string) string {
	for i := len(output) - 1; i >= 0; i-- {
		if line := strings.TrimSpace(output[i]); line != "" && !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "===") {
			return line
		}
	}
	return "no reason given"
}
