// This file owns what is known of apt, the package manager of Debian and Ubuntu.

package installer

import "strings"

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
