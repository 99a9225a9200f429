// This file owns what is known of pip, and of the programs that call it.

package installer

import (
	"net/url"
	"path"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// Pip is Python's own package manager.
const Pip Tool = "pip"

var pipCache = Cache{
	Variable: "PIP_CACHE_DIR", Off: "PIP_NO_CACHE_DIR",
	Flags:  []string{"--no-cache-dir", "--no-cache-di", "--no-cache-d", "--no-cache-", "--no-cache"}, // pip takes beginnings
	Manage: []string{"cache"}, Places: []string{"pip", ".cache"},
	Mention: lazyregexp.New(`\bpip[\d.]*["']?\s+(-\S+\s+)*(install|wheel|download)\b`),
}

var pipPrograms = map[string]Program{
	"pip":             {Fetch: []string{"install", "wheel", "download", "lock"}},
	"pip-sync":        {},
	"get-pip.py":      {},
	"pyproject-build": {},
	"setup.py":        {Fetch: []string{"install", "develop"}},
	"tox":             {},
	"nox":             {},
	"pre-commit":      {Fetch: []string{"install-hooks", "run"}},
	"flit":            {Fetch: []string{"install"}},
	"maturin":         {Fetch: []string{"develop"}},
	"spacy":           {Fetch: []string{"download"}},
	"mim":             {Fetch: []string{"install", "download"}},
	"pipx": {Fetch: []string{"install", "install-all", "inject", "upgrade", "upgrade-all", "reinstall", "reinstall-all", "run", "runpip"},
		Runs: &Runner{Sub: []string{"run"}, Valued: []string{"--spec", "--python", "--pip-args", "--index-url", "-i"}, Itself: true}},
	"hatch": {Fetch: []string{"env", "run", "build", "test", "shell"},
		Runs: &Runner{Sub: []string{"run"}, Valued: []string{"-e", "--env"}, Prefixed: true}},
}

func isPip(name string) bool { return strings.TrimRight(name, versions) == "pip" }

var startsPip = lazyregexp.New(`\bpip["']?[\s,]+["']?install\b|\bpip\.main\b`)

// StartsPip says whether Python text starts pip, and keepsNone whether it tells pip to keep no cache.
func StartsPip(text string) (starts, keepsNone bool) {
	starts = startsPip().MatchString(text)
	return starts, starts && strings.Contains(text, pipCache.Flags[0])
}

var pipInstaller = lazyregexp.New(`get-pip\.py|install\.python-poetry\.org|install-poetry\.py|install-pdm\.py`)

// IsPipInstaller says whether a word is the address of a Python program that calls pip: a Python that reads it is get-pip.py.
func IsPipInstaller(word string) bool { return pipInstaller().MatchString(word) }

// Unpinned says whether a requirement is the address of a file that may be another one next time, and that something is
// built of: pip finds what it has built by the address. It knows commits of repositories by their digests.
func Unpinned(requirement string) bool {
	if i := strings.LastIndex(requirement, "@ "); i >= 0 {
		requirement = requirement[i+2:]
	}
	u, err := url.Parse(strings.TrimSpace(requirement))
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && path.Ext(u.Path) != ".whl" && !strings.Contains(u.Fragment, "sha256=")
}

// PipMirror are the variables that lead pip to a mirror. trusted are the hosts that it asks without TLS already.
func PipMirror(mirror *url.URL, trusted string) []string {
	env := []string{"PIP_INDEX_URL=" + mirror.String()}
	if mirror.Scheme == "http" { // pip asks no other host without TLS
		env = append(env, "PIP_TRUSTED_HOST="+strings.TrimSpace(mirror.Hostname()+" "+trusted))
	}
	return env
}
