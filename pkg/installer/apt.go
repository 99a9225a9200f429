// This file owns what is known of apt, the package manager of Debian and Ubuntu.

package installer

import (
	"net/url"
	"path"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// Apt is the package manager of Debian and Ubuntu.
const Apt Tool = "apt"

// Its variable names a file of configuration, which says where the cache is.
var aptCache = Cache{Variable: "APT_CONFIG", Manage: []string{"clean", "autoclean", "distclean"}, Places: []string{"apt", "archives"}, Exclusive: true}

var (
	aptFetch    = []string{"update", "install", "upgrade", "dist-upgrade", "full-upgrade", "build-dep"}
	aptPrograms = map[string]Program{"apt": {Fetch: aptFetch}, "apt-get": {Fetch: aptFetch}}
)

// AptKeepsPackages says whether a text makes apt keep the packages that it has fetched.
func AptKeepsPackages(text string) bool {
	return strings.Contains(text, AptCleaning) || strings.Contains(text, "Keep-Downloaded-Packages") || strings.Contains(text, "apt.conf")
}

var aptNeeds = lazyregexp.New(`^Need to get ([\d.,]+) ([kMG]?B)(?:/([\d.,]+) ([kMG]?B))? of archives`)

// readApt reads a line of apt, which counts bytes and no packages.
func readApt(s *Said, line string) {
	m := aptNeeds().FindStringSubmatch(line)
	if m == nil {
		return
	}
	need := bytesOf(m[1], m[2])
	s.Fetched += need
	if m[3] != "" {
		s.Saved += max(0, bytesOf(m[3], m[4])-need)
	}
}

// These are keys of apt's configuration, and the places where an image has its own.
const (
	AptArchives    = "Dir::Cache::Archives"
	AptParts       = "Dir::Etc::Parts"
	AptSourceList  = "Dir::Etc::SourceList"
	AptSourceParts = "Dir::Etc::SourceParts"

	AptPartsDir       = "/etc/apt/apt.conf.d"
	AptSourceListFile = "/etc/apt/sources.list"
	AptSourcePartsDir = "/etc/apt/sources.list.d"

	// AptKeeping makes apt keep what it has fetched. AptCleaning is a file of Debian's and Ubuntu's images that removes it.
	AptKeeping  = "APT::Keep-Downloaded-Packages \"true\";\nBinary::apt::APT::Keep-Downloaded-Packages \"true\";\n"
	AptCleaning = "docker-clean"
)

var ownSources = lazyregexp.New(`/etc/apt|add-apt-repository|apt-add-repository|dpkg\s|\.deb\b|extrepo`)

// AptConfigures says whether a text changes where apt looks, or how it is configured: it must see its own files.
func AptConfigures(text string) bool { return ownSources().MatchString(text) }

// archiveURL is the URL of a distribution's own archive: one that ends in its name. Other vendors' have longer paths.
var archiveURL = lazyregexp.New(`\bhttps?://[^\s/]+/(debian|debian-security|ubuntu|ubuntu-ports)(/?)(\s|$)`)

// AptMirrored puts a mirror into sources of apt. It has debian, ubuntu and the like side by side; its URL may name one of them.
func AptMirrored(text []byte, mirror *url.URL) []byte {
	root := *mirror
	root.Path = strings.TrimSuffix(root.Path, "/")
	switch path.Base(root.Path) {
	case "debian", "debian-security", "ubuntu", "ubuntu-ports":
		root.Path = path.Dir(root.Path)
	}
	prefix := strings.TrimSuffix(root.String(), "/")
	// A template of a regular expression takes $ for a group.
	prefix = strings.ReplaceAll(prefix, "$", "$$")
	return archiveURL().ReplaceAll(append([]byte{}, text...), []byte(prefix+"/${1}${2}${3}"))
}
