package build

import (
	"bytes"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// toolLog reads in the output of a RUN what package managers say about their caches, and what failed for a reason of ours.
type toolLog struct {
	mu     sync.Mutex
	line   [2][]byte // begun lines, of stdout and of stderr
	seen   map[string]*said
	denied bool            // something was not permitted
	noNode bool            // namely a device node
	fetch  map[string]bool // names of files that pip downloaded now
	stale  map[string]bool // names of tools that found something in their cache that is not what the index says, or broken
}

// said is what one tool has printed.
type said struct {
	hits, misses   int
	saved, fetched int64    // bytes, as rounded as the tool prints them
	wheels         []string // built earlier, used again
	built          []string // built and kept
	builds         string   // the wheel that was built last
	refused        bool     // the tool does not use its cache
}

// maxToolLine is how much of a line is read: what tools say is short.
const maxToolLine = 4096

func (l *toolLog) write(p []byte, stderr bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := &l.line[0]
	if stderr {
		b = &l.line[1]
	}
	for len(p) > 0 {
		end := bytes.IndexAny(p, "\r\n")
		part := p
		if end >= 0 {
			part = p[:end]
		}
		if room := maxToolLine - len(*b); room > 0 {
			*b = append(*b, part[:min(room, len(part))]...)
		}
		if end < 0 {
			return
		}
		l.read(string(*b))
		*b, p = (*b)[:0], p[end+1:]
	}
}

func (l *toolLog) of(tool string) *said {
	if l.seen == nil {
		l.seen = map[string]*said{}
	}
	if l.seen[tool] == nil {
		l.seen[tool] = &said{}
	}
	return l.seen[tool]
}

var (
	pipUses    = lazyregexp.New(`^\s*(Using cached|Downloading) (\S+) \(([\d.]+) ?([kMG]?B|bytes)\)`)
	pipReuses  = lazyregexp.New(`^\s*Using cached (\S+\.whl)$`) // no size: pip has built it earlier
	pipBuilds  = lazyregexp.New(`^\s*Created wheel for \S+ filename=(\S+\.whl) `)
	pipKeeps   = lazyregexp.New(`^\s*Stored in directory: \S+/wheels/`)
	pipRefuses = lazyregexp.New(`The cache has been disabled`)
	uvDid      = lazyregexp.New(`^\s*(Prepared|Installed) (\d+) packages? in `)
	// mknod, cp, rsync, tar, cpio and dpkg, each in its own words
	nodeRefused = lazyregexp.New(`mknod\b|\bspecial file\b|creating device `)
	aptNeeds    = lazyregexp.New(`^Need to get ([\d.,]+) ([kMG]?B)(?:/([\d.,]+) ([kMG]?B))? of archives`)
)

func (l *toolLog) read(line string) {
	if len(line) < 10 { // shorter than anything that is looked for
		return
	}
	if strings.Contains(line, "Operation not permitted") {
		l.denied = true
		l.noNode = l.noNode || nodeRefused().MatchString(line)
	}
	l.readStale(line)
	if m := pipUses().FindStringSubmatch(line); m != nil {
		l.pipUsed(m[1], path.Base(m[2]), bytesOf(m[3], m[4]))
	} else if strings.Contains(line, "whl") || pipKeeps().MatchString(line) {
		l.pipBuilt(line)
	} else if pipRefuses().MatchString(line) {
		l.of("pip").refused = true
	} else if m := uvDid().FindStringSubmatch(line); m != nil {
		n, _ := strconv.Atoi(m[2])
		u := l.of("uv")
		if m[1] == "Prepared" {
			u.misses, u.hits = u.misses+n, u.hits-n
		} else {
			u.hits += n
		}
	} else if m := aptNeeds().FindStringSubmatch(line); m != nil {
		a, need := l.of("apt"), bytesOf(m[1], m[2])
		a.fetched += need
		if m[3] != "" {
			a.saved += max(0, bytesOf(m[3], m[4])-need)
		}
	}
}

// pipBuilt reads what pip says of wheels that it builds itself. Those that it builds for this time only are not kept.
func (l *toolLog) pipBuilt(line string) {
	p := l.of("pip")
	if m := pipReuses().FindStringSubmatch(line); m != nil {
		p.hits++
		p.wheels = append(p.wheels, path.Base(m[1]))
	} else if m := pipBuilds().FindStringSubmatch(line); m != nil {
		p.builds = m[1]
	} else if p.builds != "" && pipKeeps().MatchString(line) && !strings.Contains(line, "ephem") {
		p.built = append(p.built, p.builds)
		p.builds = ""
	}
}

// pipUsed counts a distribution, and not the metadata that pip fetches before it.
func (l *toolLog) pipUsed(how, file string, size int64) {
	if strings.HasSuffix(file, ".metadata") {
		return
	}
	p := l.of("pip")
	if how == "Downloading" {
		if l.fetch == nil {
			l.fetch = map[string]bool{}
		}
		l.fetch[file] = true
		p.misses++
		p.fetched += size
		return
	}
	p.hits++
	p.saved += size
}

// bytesOf reads "1,234.5" and "kB": tools count in units of 1000.
func bytesOf(number, unit string) int64 {
	n, err := strconv.ParseFloat(strings.ReplaceAll(number, ",", ""), 64)
	if err != nil {
		return 0
	}
	return int64(n * map[string]float64{"B": 1, "bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit])
}
