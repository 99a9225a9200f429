// This file owns what is known of uv, and of the programs that call it.

package installer

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// Uv is the package manager uv, which installs Python packages.
const Uv Tool = "uv"

var uvCache = Cache{
	Variable: "UV_CACHE_DIR", Off: "UV_NO_CACHE", On: "0", Flags: []string{"--no-cache", "--no-cache-dir", "-n"},
	Manage: []string{"cache", "version", "self", "help"}, Places: []string{"uv", ".cache"},
	Also: []string{"UV_LINK_MODE=copy"}, LinkMode: "UV_LINK_MODE",
	Mention: lazyregexp.New(`\buv["']?\s+(-\S+\s+)*(pip|sync|run|add)\b`),
}

var uvPrograms = map[string]Program{
	"uv":  {Runs: &Runner{Sub: []string{"run", "x"}, Group: "tool", Valued: uvValued, Itself: true}},
	"uvx": {Runs: &Runner{Valued: uvValued, Itself: true}},
	"rye": {Fetch: []string{"sync", "add", "lock", "install", "build"}, Runs: &Runner{Sub: []string{"run"}}},
}

// uvValued are the options of uv run, and of uvx, whose value is the next word.
var uvValued = []string{"-p", "--python", "--with", "--with-requirements", "--with-editable", "--from", "--extra", "--no-extra", "--group", "--no-group", "--only-group",
	"--package", "--project", "--directory", "--index", "--default-index", "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--env-file", "--config-file",
	"--index-strategy", "--link-mode", "--refresh-package", "-P", "--upgrade-package", "-C", "--config-setting", "--color", "--cache-dir", "-w", "-c", "--constraint",
	"--overrides", "--python-preference", "--resolution", "--prerelease", "--exclude-newer", "--reinstall-package", "--torch-backend"}

// UvKeepsNone says whether a value of UV_NO_CACHE turns uv's cache off.
func UvKeepsNone(value string) bool {
	return !slices.Contains([]string{"", "0", "false", "no", "off", "n", "f"}, strings.ToLower(value))
}

var (
	uvDid      = lazyregexp.New(`^\s*(Prepared|Installed) (\d+) packages? in `)
	uvMismatch = lazyregexp.New("Hash mismatch for `")
	uvBroken   = lazyregexp.New(`Failed to deserialize cache entry|Failed to read from the distribution cache|[Cc]ache deserialization failed`)
)

// readUv reads a line of uv. What it prepares it has fetched or built; what it installs beyond that was in its cache.
func readUv(s *Said, line string) {
	s.Stale = s.Stale || uvMismatch().MatchString(line) || uvBroken().MatchString(line)
	m := uvDid().FindStringSubmatch(line)
	if m == nil {
		return
	}
	n, _ := strconv.Atoi(m[2])
	if m[1] == "Prepared" {
		s.Misses, s.Hits = s.Misses+n, s.Hits-n
	} else {
		s.Hits += n
	}
}

// UvMirror are the variables that lead uv to a mirror.
func UvMirror(mirror *url.URL) []string {
	return []string{"UV_DEFAULT_INDEX=" + mirror.String(), "UV_INDEX_URL=" + mirror.String()} // the latter for uv before 0.4.23
}
