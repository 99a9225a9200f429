// This file owns Use, the account of how one RUN used one of its caches: how it is put together when the RUN has ended, and its
// words for the user. It changes no cache.

package toolcache

import (
	"fmt"
	"os"
	"strings"

	"github.com/docker/go-units"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/pipcache"
)

// Use is what is known of what a RUN did with one of its caches. Counts are those that the tool printed; what it did
// not print is not known, and left out.
type Use struct {
	ID        string `json:"id"`
	Target    string `json:"target"` // its path in the RUN
	Tool      string `json:"tool,omitempty"`
	Automatic bool   `json:"automatic,omitempty"` // the Dockerfile has not asked for it
	Without   string `json:"without,omitempty"`   // why the RUN, which calls the tool, was given none

	Hits    int      `json:"hits,omitempty"`    // packages taken from the cache
	Misses  int      `json:"misses,omitempty"`  // packages fetched
	Saved   int64    `json:"saved,omitempty"`   // bytes not fetched, as rounded as the tool prints them
	Fetched int64    `json:"fetched,omitempty"` // bytes fetched, likewise
	Wheels  []string `json:"wheels,omitempty"`  // built by an earlier build and used again
	Built   []string `json:"built,omitempty"`   // wheels built now and kept
	Refused bool     `json:"refused,omitempty"` // the tool said that it does not use the cache

	NewFiles  int      `json:"newFiles,omitempty"`  // files that came into the cache meanwhile, those of other builds included
	NewBytes  int64    `json:"newBytes,omitempty"`  // bytes that these take on disk
	NewWheels []string `json:"newWheels,omitempty"` // the wheels among these files
	Untouched bool     `json:"untouched,omitempty"` // the cache was and is empty
}

// cacheUse is a Use with the lease that is looked at when the RUN has ended; nil for a directory of the user's.
type cacheUse struct {
	Use
	lease *pipcache.Lease
	built *pipcache.Lease // the cache of what the tool builds itself, if that is another one

	passing bool   // nothing that the tool builds itself is kept
	ofState bool   // a file that it builds of was there before the RUN
	upper   string // holds the new files until the RUN has ended; empty if they go to the cache at once
}

// NoteMount remembers a cache mount of the Dockerfile.
func (c *Caches) NoteMount(s *dockerfile.Run, d *dockerfile.Mount, lease *pipcache.Lease) {
	use := cacheUse{Use: Use{ID: d.ID, Target: d.Target}, lease: lease}
	for _, t := range installer.Tools {
		if s.CacheMount(t) == d && s.Calls().Fetches(t) {
			use.Tool = string(t)
		}
	}
	c.uses = append(c.uses, use)
}

// Report says of each cache of the RUN what was done with it.
func (c *Caches) Report(log *Output) {
	for i := range c.uses {
		u := &c.uses[i]
		if u.Tool != "" {
			u.take(log.tools.Of(installer.Tool(u.Tool)))
		}
		u.look()
		c.build.Reports.Cache(c.Step, u.String(), &u.Use)
	}
}

// take takes over what the tool has printed.
func (u *cacheUse) take(s *installer.Said) {
	u.Hits, u.Misses, u.Saved, u.Fetched = max(0, s.Hits), s.Misses, s.Saved, s.Fetched
	u.Wheels, u.Built, u.Refused = s.Wheels, s.Built, s.Refused
	if u.passing {
		u.Built = nil
	}
}

// look finds what is new in the cache. uv keeps packages unpacked, in far more files than are worth a look when uv itself
// has said what it did.
func (u *cacheUse) look() {
	if u.Tool == string(installer.Uv) && u.Hits+u.Misses > 0 {
		return
	}
	if entries, err := os.ReadDir(u.upper); err == nil && len(entries) > 0 {
		return
	}
	if u.lease != nil && u.built == nil {
		entries, err := os.ReadDir(u.lease.Dir())
		if u.Untouched = err == nil && len(entries) == 0; u.Untouched {
			return
		}
	}
	for _, l := range []*pipcache.Lease{u.lease, u.built} {
		if l == nil {
			continue
		}
		usage, err := l.Usage()
		if err != nil {
			continue // it is only not known
		}
		u.NewFiles += usage.Files
		u.NewBytes += usage.Bytes
		for _, w := range usage.Wheels {
			u.NewWheels = append(u.NewWheels, w.Name+" "+w.Version)
		}
	}
}

// String is one line for people.
func (u *Use) String() string {
	if u.Without != "" {
		return fmt.Sprintf("no cache of %s: %s", u.Tool, u.Without)
	}
	name := "cache mount " + u.Target
	if u.Automatic {
		name = "cache of " + u.Tool
	}
	var told []string
	say := func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }
	if u.Refused {
		say("%s does not use it: see its warning", u.Tool)
	}
	if u.Hits > 0 {
		say("%s used from it%s", packages(u.Hits), amount(u.Saved, " not downloaded"))
	} else if u.Saved > 0 {
		say("%s not downloaded", size(u.Saved))
	}
	if u.Misses > 0 {
		say("%s downloaded%s", packages(u.Misses), amount(u.Fetched, ""))
	} else if u.Fetched > 0 {
		say("%s downloaded", size(u.Fetched))
	}
	if len(u.Wheels) > 0 {
		say("built earlier and used: %s", some(u.Wheels))
	}
	if len(u.Built) > 0 {
		say("built and kept: %s", some(u.Built))
	}
	return name + ": " + strings.Join(append(told, u.news(len(told) == 0)...), "; ")
}

// news says what came into the cache, where the tool has not.
func (u *Use) news(silent bool) []string {
	switch {
	case u.Untouched && silent:
		return []string{"this mount was never touched"}
	case !silent || u.NewFiles == 0 && u.Refused:
		return nil
	case u.NewFiles == 0:
		return []string{"nothing new in it"}
	case len(u.NewWheels) > 0:
		return []string{fmt.Sprintf("%s new in it: %s", size(u.NewBytes), some(u.NewWheels))}
	}
	return []string{fmt.Sprintf("%s new in it", size(u.NewBytes))}
}

// packages counts them in words.
func packages(n int) string {
	if n == 1 {
		return "1 package"
	}
	return fmt.Sprintf("%d packages", n)
}

// amount is a size in brackets, where it is known.
func amount(n int64, what string) string {
	if n == 0 {
		return ""
	}
	return " (" + size(n) + what + ")"
}

// size is a number of bytes as people read it.
func size(n int64) string { return units.HumanSizeWithPrecision(float64(n), 3) }

// someNames is how many names a line has room for.
const someNames = 6

// some lists as many names as a line has room for.
func some(names []string) string {
	if n := len(names) - someNames; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:someNames], ", "), n)
	}
	return strings.Join(names, ", ")
}
