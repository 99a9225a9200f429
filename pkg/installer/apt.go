// This file owns what is known of apt, the package manager of Debian and Ubuntu.

package installer

import (
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// Apt is the package manager of Debian and Ubuntu.
const Apt Tool = "apt"

// Its variable names a file of configuration, which says where the cache is.
var aptCache = Cache{Variable: "APT_CONFIG", Manage: []string{"clean", "autoclean", "distclean"}, Places: []string{"apt", "archives"}}

var (
	aptFetch    = []string{"update", "install", "upgrade", "dist-upgrade", "full-upgrade", "build-dep"}
	aptPrograms = map[string]Program{"apt": {Fetch: aptFetch}, "apt-get": {Fetch: aptFetch}}
)

// AptKeepsPackages says whether a text makes apt keep the packages that it has fetched, which docker-clean, a file of
// Debian's and Ubuntu's images, removes otherwise.
func AptKeepsPackages(text string) bool {
	return strings.Contains(text, "docker-clean") || strings.Contains(text, "Keep-Downloaded-Packages") || strings.Contains(text, "apt.conf")
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
