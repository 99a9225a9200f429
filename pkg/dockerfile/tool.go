package dockerfile

import (
	"path"
	"slices"
	"strings"
)

// Tool is a package manager that can keep what it fetches in a cache.
type Tool string

// The Tools that are known.
const (
	Pip   Tool = "pip"
	Uv    Tool = "uv"
	Conda Tool = "conda"
	Npm   Tool = "npm"
	Apt   Tool = "apt"
)

// Tools are all that are known, in the order in which they are listed for people.
var Tools = []Tool{Pip, Uv, Apt, Conda, Npm}

// toolSpec says how a tool is told about its cache.
type toolSpec struct {
	manage   []string // sub-commands about the cache itself
	variable string   // says where the cache is
	off      string   // a variable that turns it off
	on       string   // its value that does not
	flags    []string // options that turn it off
	also     []string // further variables for a cache that is a mount
	place    []string // endings of the directories where the cache is by itself
}

var toolSpecs = map[Tool]toolSpec{
	Pip: {manage: []string{"cache"}, variable: "PIP_CACHE_DIR", off: "PIP_NO_CACHE_DIR",
		flags: []string{"--no-cache-dir", "--no-cache-di", "--no-cache-d", "--no-cache-", "--no-cache"}, place: []string{"pip", ".cache"}},
	Uv: {manage: []string{"cache", "version", "self", "help"}, variable: "UV_CACHE_DIR", off: "UV_NO_CACHE", on: "0",
		flags: []string{"--no-cache", "--no-cache-dir", "-n"}, also: []string{"UV_LINK_MODE=copy"}, place: []string{"uv", ".cache"}},
	Conda: {manage: []string{"clean"}, variable: "CONDA_PKGS_DIRS", place: []string{"pkgs"}},
	Npm:   {manage: []string{"cache"}, variable: "npm_config_cache", place: []string{".npm", "npm"}},
	Apt:   {manage: []string{"clean", "autoclean", "distclean"}, variable: "APT_CONFIG", place: []string{"apt", "archives"}},
}

// fetcher is a program that fetches packages.
type fetcher struct {
	tool  Tool     // whose cache it uses: it may be a front of pip
	fetch []string // sub-commands that fetch; nil: all but those that manage the cache
	own   string   // why it has no cache here, for one that uses none of a Tool's
}

var fetchers = map[string]fetcher{
	"pip":             {tool: Pip, fetch: []string{"install", "wheel", "download", "lock"}},
	"pipx":            {tool: Pip, fetch: []string{"install", "install-all", "inject", "upgrade", "upgrade-all", "reinstall", "reinstall-all", "run", "runpip"}},
	"pip-sync":        {tool: Pip},
	"get-pip.py":      {tool: Pip},
	"pyproject-build": {tool: Pip},
	"setup.py":        {tool: Pip, fetch: []string{"install", "develop"}},
	"tox":             {tool: Pip},
	"nox":             {tool: Pip},
	"hatch":           {tool: Pip, fetch: []string{"env", "run", "build", "test", "shell"}},
	"pre-commit":      {tool: Pip, fetch: []string{"install-hooks", "run"}},
	"flit":            {tool: Pip, fetch: []string{"install"}},
	"maturin":         {tool: Pip, fetch: []string{"develop"}},
	"spacy":           {tool: Pip, fetch: []string{"download"}},
	"mim":             {tool: Pip, fetch: []string{"install", "download"}},
	"uv":              {tool: Uv},
	"uvx":             {tool: Uv},
	"rye":             {tool: Uv, fetch: []string{"sync", "add", "lock", "install", "build"}},
	"conda":           {tool: Conda, fetch: []string{"install", "create", "update", "upgrade"}},
	"mamba":           {tool: Conda, fetch: []string{"install", "create", "update", "upgrade"}},
	"micromamba":      {tool: Conda, fetch: []string{"install", "create", "update", "upgrade"}},
	"npm":             {tool: Npm, fetch: []string{"install", "i", "ci", "add", "clean-install", "update"}},
	"apt":             {tool: Apt, fetch: aptFetch},
	"apt-get":         {tool: Apt, fetch: aptFetch},
	"pip-compile":     {own: "it has a cache of its own", fetch: nil},
	"poetry":          {own: "its cache has built packages and environments, too", fetch: []string{"install", "add", "update", "lock", "sync"}},
	"pipenv":          {own: "its cache has what it has resolved, too", fetch: []string{"install", "sync", "update", "upgrade", "lock"}},
	"pdm":             {own: "its cache has built packages, too", fetch: []string{"install", "sync", "add", "update", "lock"}},
	"pixi":            {own: "its cache has environments, too", fetch: []string{"install", "add", "update", "lock"}},
	"easy_install":    {own: "it keeps nothing that it fetches"},
}

var aptFetch = []string{"update", "install", "upgrade", "dist-upgrade", "full-upgrade", "build-dep"}

func isPip(name string) bool { return strings.TrimRight(name, versions) == "pip" }

// canonical is the name of a program that fetches packages, without its version; empty for every other one.
func canonical(name string) string {
	if isPip(name) {
		return "pip"
	}
	if _, ok := fetchers[name]; ok {
		return name
	}
	return ""
}

// uses says whether the program uses the cache of the tool, if it fetches.
func (p *program) uses(t Tool) bool {
	return fetchers[p.name].tool == t || t == Pip && fetchers[p.name].tool == Conda && p.readsList()
}

// readsList says whether a conda is given a file that may list packages for pip, which conda then calls.
func (p *program) readsList() bool {
	return p.has("env") || slices.ContainsFunc(p.args, func(w word) bool {
		return w.value == "-f" || strings.HasPrefix(w.value, "--file") || strings.HasSuffix(w.value, ".yml") || strings.HasSuffix(w.value, ".yaml")
	}) && p.name != "conda"
}

func (p *program) has(arg string) bool {
	return slices.ContainsFunc(p.args, func(w word) bool { return w.value == arg })
}

// fetches says whether the program fetches packages that the tool's cache keeps.
func (p *program) fetches(t Tool) bool { return p.uses(t) && p.gets() && !p.manages(t) }

// gets says whether the program fetches packages.
func (p *program) gets() bool {
	f := fetchers[p.name]
	if f.tool == Conda && p.has("env") {
		return p.has("create") || p.has("update")
	}
	if f.fetch == nil {
		return !slices.ContainsFunc(p.args, func(w word) bool { return w.value == "--version" || w.value == "--help" }) && (f.tool != Uv || len(p.args) > 0)
	}
	return slices.ContainsFunc(p.args, func(w word) bool { return slices.Contains(f.fetch, w.value) })
}

// manages says whether the program is told about the tool's cache, and nothing else.
func (p *program) manages(t Tool) bool {
	return fetchers[p.name].tool == t && slices.Contains(toolSpecs[t].manage, subcommand(p.args))
}

// subcommand is the first argument that is no option.
func subcommand(args []word) string {
	for _, w := range args {
		if !strings.HasPrefix(w.value, "-") {
			return w.value
		}
	}
	return ""
}

// argsOf returns the arguments that a call gives the tool, when it calls it and the tool sees a cache of the RUN.
func (c *call) argsOf(t Tool) ([]word, bool) {
	for i := range c.does.programs {
		if p := &c.does.programs[i]; p.uses(t) && p.barrier.why == "" {
			return p.args, true
		}
	}
	return nil, false
}

// fetches says whether the call makes the tool fetch packages by a cache of the RUN.
func (c *call) fetches(t Tool) bool {
	return slices.ContainsFunc(c.does.programs, func(p program) bool { return p.fetches(t) && p.barrier.why == "" })
}

// manages says whether the call is about the tool's cache, and nothing else.
func (c *call) manages(t Tool) bool {
	return slices.ContainsFunc(c.does.programs, func(p program) bool { return p.manages(t) && p.barrier.why == "" })
}

// Fetches says whether the RUN calls the tool to fetch packages, and can do so by a cache that it is given, as far as its
// text shows.
func (r *Run) Fetches(t Tool) bool {
	calls := r.calls()
	return slices.ContainsFunc(calls, func(c *call) bool { return c.fetches(t) && c.turnedOff(t) == "" }) && hindrance(calls, t) == ""
}

// ChoosesCache says whether the Dockerfile has a cache of its own for the tool in this RUN, or a place for it: such a RUN
// is left as it is.
func (r *Run) ChoosesCache(t Tool) bool {
	spec := toolSpecs[t]
	if r.Getenv(spec.variable) != "" || r.CacheMount(t) != nil || t == Uv && r.Getenv("UV_LINK_MODE") == "symlink" {
		return true
	}
	for _, text := range r.texts() {
		if strings.Contains(text, spec.variable) {
			return true
		}
	}
	return slices.ContainsFunc(r.calls(), func(c *call) bool {
		args, _ := c.argsOf(t)
		return slices.ContainsFunc(args, func(w word) bool {
			return w.value == "--cache-dir" || strings.HasPrefix(w.value, "--cache-dir=") || t == Uv && strings.HasSuffix(w.value, "symlink")
		})
	})
}

// CacheMount returns the mount that keeps the cache of a tool out of the layer: at its usual place, or where a variable
// says; nil without one.
func (r *Run) CacheMount(t Tool) *Mount {
	dir := r.Getenv(toolSpecs[t].variable)
	for i := range r.Mounts {
		m := &r.Mounts[i]
		if m.Type == MountSecret || m.Type == MountSSH {
			continue
		}
		if slices.Contains(toolSpecs[t].place, path.Base(m.Target)) || dir != "" && strings.HasPrefix(dir+"/", m.Target+"/") {
			return m
		}
	}
	return nil
}
