// This file owns the output of a RUN, as far as it tells something of caches or of a failure.
// Lines are read as they come, from both streams, and not kept.

package toolcache

import (
	"bytes"
	"strings"
	"sync"

	"github.com/gbuild/gbuild/internal/lazyregexp"
	"github.com/gbuild/gbuild/pkg/installer"
)

// Output reads in the output of a RUN what package managers say about their caches, and what failed for a reason of ours.
type Output struct {
	mu     sync.Mutex
	line   [2][]byte // begun lines, of stdout and of stderr
	tools  installer.Output
	Denied bool // something was not permitted
	NoNode bool // namely a device node
}

// maxToolLine is how much of a line is read: what tools say is short.
const maxToolLine = 4096

// Write takes a part of the output; it may end in the midst of a line.
func (l *Output) Write(p []byte, stderr bool) {
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

// nodeRefused has the words of mknod, cp, rsync, tar, cpio and dpkg.
var nodeRefused = lazyregexp.New(`mknod\b|\bspecial file\b|creating device `)

// read looks at a whole line.
func (l *Output) read(line string) {
	if strings.Contains(line, "Operation not permitted") {
		l.Denied = true
		l.NoNode = l.NoNode || nodeRefused().MatchString(line)
	}
	l.tools.Read(line)
}
