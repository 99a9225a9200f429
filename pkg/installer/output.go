// This file owns what tools print about their caches. How a line of one reads is in the tool's own file.

package installer

import (
	"strconv"
	"strings"
)

// Said is what one tool has printed. What it did not print is not known.
type Said struct {
	Hits, Misses   int      // packages taken from the cache, and fetched
	Saved, Fetched int64    // bytes of them, as rounded as the tool prints them
	Wheels         []string // built earlier, used again
	Built          []string // built and kept
	Refused        bool     // the tool does not use its cache
	Stale          bool     // something in the cache is not what the index says, or broken

	pip pipSaid
}

// Output reads the lines that a command prints. The zero Output has read none.
type Output struct{ said map[Tool]*Said }

// Of returns what a tool has said so far.
func (o *Output) Of(t Tool) *Said {
	if o.said == nil {
		o.said = map[Tool]*Said{}
	}
	if o.said[t] == nil {
		o.said[t] = &Said{}
	}
	return o.said[t]
}

// shortest is shorter than any line that says something.
const shortest = 10

// Read takes in a line.
func (o *Output) Read(line string) {
	if len(line) < shortest {
		return
	}
	for _, t := range Tools {
		if read := tools[t].read; read != nil {
			read(o.Of(t), line)
		}
	}
}

// bytesOf reads "1,234.5" and "kB": tools count in units of 1000.
func bytesOf(number, unit string) int64 {
	n, err := strconv.ParseFloat(strings.ReplaceAll(number, ",", ""), 64)
	if err != nil {
		return 0
	}
	return int64(n * map[string]float64{"B": 1, "bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit])
}
