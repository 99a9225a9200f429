// This file owns what tools print about their caches. The lines of each tool are read in its own file.

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

// pipSaid is what earlier lines of pip mean for later ones.
type pipSaid struct {
	builds   string          // the wheel that was built last
	fetched  map[string]bool // names of files that were downloaded now
	mismatch bool            // a file was not what its digest says; the next line names it
}

// bytesOf reads "1,234.5" and "kB": tools count in units of 1000.
func bytesOf(number, unit string) int64 {
	n, err := strconv.ParseFloat(strings.ReplaceAll(number, ",", ""), 64)
	if err != nil {
		return 0
	}
	return int64(n * map[string]float64{"B": 1, "bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit])
}
