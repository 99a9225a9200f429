// This file reads the lines that pip prints.

package installer

import (
	"path"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

var (
	pipUses    = lazyregexp.New(`^\s*(Using cached|Downloading) (\S+) \(([\d.]+) ?([kMG]?B|bytes)\)`)
	pipReuses  = lazyregexp.New(`^\s*Using cached (\S+\.whl)$`) // no size: pip has built it earlier
	pipBuilds  = lazyregexp.New(`^\s*Created wheel for \S+ filename=(\S+\.whl) `)
	pipKeeps   = lazyregexp.New(`^\s*Stored in directory: \S+/wheels/`)
	pipRefuses = lazyregexp.New(`The cache has been disabled`)

	// pipMismatch is what pip prints, and pipBlames the line after it that names the file.
	pipMismatch = lazyregexp.New(`THESE PACKAGES DO NOT MATCH THE HASHES`)
	pipBlames   = lazyregexp.New(`^\s+\S.* from (?:https?|file)://\S+?([^/\s#?]+)(?:[?#]\S*?)?(?: \(from .*\))?:?\s*$`)
	// pipBroken is how pip ends when what it reads of its cache is no wheel, or cut off.
	pipBroken = lazyregexp.New(`ERROR: Wheel '.*' is invalid|^(zipfile\.)?BadZipFile:|^(pip\._vendor\.)?msgpack\.\S+|^zlib\.error:`)
)

// readPip reads a line of pip.
func readPip(s *Said, line string) {
	s.readStalePip(line)
	if m := pipUses().FindStringSubmatch(line); m != nil {
		s.pipUsed(m[1], path.Base(m[2]), bytesOf(m[3], m[4]))
	} else if strings.Contains(line, "whl") || pipKeeps().MatchString(line) {
		s.pipBuilt(line)
	} else if pipRefuses().MatchString(line) {
		s.Refused = true
	}
}

// readStalePip looks for signs that the content of the cache made pip fail. A file that pip has fetched now is none.
func (s *Said) readStalePip(line string) {
	switch {
	case pipMismatch().MatchString(line):
		s.pip.mismatch = true
	case s.pip.mismatch && pipBlames().MatchString(line):
		file := pipBlames().FindStringSubmatch(line)[1]
		s.Stale = s.Stale || !s.pip.fetched[path.Base(file)]
	case s.Hits > 0 && pipBroken().MatchString(line):
		s.Stale = true
	}
}

// pipBuilt reads what pip says of wheels that it builds itself. Those that it builds for this time only are not kept.
func (s *Said) pipBuilt(line string) {
	if m := pipReuses().FindStringSubmatch(line); m != nil {
		s.Hits++
		s.Wheels = append(s.Wheels, path.Base(m[1]))
	} else if m := pipBuilds().FindStringSubmatch(line); m != nil {
		s.pip.builds = m[1]
	} else if s.pip.builds != "" && pipKeeps().MatchString(line) && !strings.Contains(line, "ephem") {
		s.Built = append(s.Built, s.pip.builds)
		s.pip.builds = ""
	}
}

// pipUsed counts a distribution, and not the metadata that pip fetches before it.
func (s *Said) pipUsed(how, file string, size int64) {
	if strings.HasSuffix(file, ".metadata") {
		return
	}
	if how == "Downloading" {
		if s.pip.fetched == nil {
			s.pip.fetched = map[string]bool{}
		}
		s.pip.fetched[file] = true
		s.Misses++
		s.Fetched += size
		return
	}
	s.Hits++
	s.Saved += size
}
