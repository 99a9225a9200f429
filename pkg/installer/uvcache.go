// This file tells the parts of uv's cache apart by their paths: uv keeps in one directory what it fetched and what it built.

package installer

import (
	"slices"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// uvFetched are the beginnings of what uv fetched, and can be used whatever a RUN stands on: pages, packages, git
// repositories, Pythons, and the marks of the directory itself.
var uvFetched = []string{"wheels-v", "archive-v", "simple-v", "flat-index-v", "git-v", "python-v", "binaries-v", "CACHEDIR.TAG", ".gitignore"}

// uvBucket matches any part that uv has a version for. builds-vN are left by a uv that was killed.
var uvBucket = lazyregexp.New(`^[a-z-]+-v[0-9]+$`)

// UvPart is what a path in uv's cache belongs to.
type UvPart int

// The parts of uv's cache.
const (
	UvNeither UvPart = iota // It is not to be kept.
	UvFetched               // It was fetched by uv.
	UvBuilt                 // It was built by uv.
	UvBoth                  // It is a directory that has something of both.
)

// PartOfUv says what a path in uv's cache belongs to. built has the names of the unpacked packages that uv has built.
func PartOfUv(name string, built map[string]bool) UvPart {
	top, rest, deep := strings.Cut(name, "/")
	archive, wheels := strings.HasPrefix(top, "archive-v"), strings.HasPrefix(top, "wheels-v")
	switch {
	case !deep && (archive || wheels):
		return UvBoth
	case archive && built[rest], wheels && rest == "path": // a file of the image
		return UvBuilt
	case begins(top, uvFetched...):
		return UvFetched
	case strings.HasPrefix(top, "builds-v") || !uvBucket().MatchString(top):
		return UvNeither
	}
	return UvBuilt
}

// UvIsDeep says whether a part of uv's cache has files of packages, and no links to unpacked ones.
func UvIsDeep(top string) bool { return begins(top, "archive-v", "builds-v", "git-v") }

// UvIsOfBuilds says whether a part of uv's cache has what uv built, and the links to it.
func UvIsOfBuilds(top string) bool { return begins(top, "sdists-v", "environments-v") }

// UvIsOfWheels says whether the links of a part of uv's cache lead to what uv fetched.
func UvIsOfWheels(top string) bool { return strings.HasPrefix(top, "wheels-v") }

func begins(s string, with ...string) bool {
	return slices.ContainsFunc(with, func(start string) bool { return strings.HasPrefix(s, start) })
}
