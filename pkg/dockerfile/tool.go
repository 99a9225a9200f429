package dockerfile

import (
	"path"
	"regexp"
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

// toolSpec says how a tool is called, and how it is told about its cache.
type toolSpec struct {
	name     func() *regexp.Regexp // of the program; unknown is what an expansion stands for
	fetch    []string              // sub-commands that fetch packages; nil: all but manage
	manage   []string              // sub-commands about the cache itself
	variable string                // says where the cache is
	off      string                // a variable that turns it off
	on       string                // its value that does not
	flags    []string              // options that turn it off
	also     []string              // further variables for a cache that is a mount
	place    []string              // endings of the directories where the cache is by itself
}

// unknown stands in the value of a word for what only the shell knows.
const unknown = "\x00"

var toolSpecs = map[Tool]toolSpec{
	Pip: {name: lazyRegexp(`^(pip[\d.\x00]*|pipx)$`), fetch: []string{"install", "wheel", "download", "lock", "inject", "upgrade"},
		manage: []string{"cache"}, variable: "PIP_CACHE_DIR", off: "PIP_NO_CACHE_DIR",
		flags: []string{"--no-cache-dir", "--no-cache", "--no-cache-di", "--no-cache-d", "--no-cache-"}, place: []string{"pip", ".cache"}},
	Uv: {name: lazyRegexp(`^uvx?$`), manage: []string{"cache", "version", "self", "help"}, variable: "UV_CACHE_DIR", off: "UV_NO_CACHE", on: "0",
		flags: []string{"--no-cache", "--no-cache-dir", "-n"}, also: []string{"UV_LINK_MODE=copy"}, place: []string{"uv", ".cache"}},
	Conda: {name: lazyRegexp(`^(conda|mamba|micromamba)$`), fetch: []string{"install", "create", "update", "upgrade", "env"},
		manage: []string{"clean"}, variable: "CONDA_PKGS_DIRS", place: []string{"pkgs"}},
	Npm: {name: lazyRegexp(`^npm$`), fetch: []string{"install", "i", "ci", "add", "clean-install", "update"},
		manage: []string{"cache"}, variable: "npm_config_cache", place: []string{".npm", "npm"}},
	Apt: {name: lazyRegexp(`^apt(-get)?$`), fetch: []string{"update", "install", "upgrade", "dist-upgrade", "full-upgrade", "build-dep"},
		manage: []string{"clean", "autoclean", "distclean"}, variable: "APT_CONFIG", place: []string{"apt", "archives"}},
}

// wrappers run the command that their arguments name, with the same environment. sudo and su are none: they clear it, and
// what they run would not see the cache.
var wrappers = []string{"env", "exec", "command", "nice", "ionice", "timeout", "xargs", "nohup", "stdbuf", "time", "retry", "eatmydata", "find"}

var pythonCall = lazyRegexp(`^(python|pypy)[\d.\x00]*$`)

// argsOf returns the arguments that a call gives the tool, when it calls it.
func (c *call) argsOf(t Tool) ([]word, bool) {
	words := c.words
	for len(words) > 1 && slices.Contains(wrappers, words[0].base()) {
		if words[0].base() == "env" && slices.ContainsFunc(words, func(w word) bool { return w.value == "-i" || w.value == "-" }) {
			return nil, false
		}
		if words[0].base() == "find" { // it names files first
			words = words[max(0, slices.IndexFunc(words, func(w word) bool { return w.value == "-exec" })):]
		}
		i := slices.IndexFunc(words[1:], func(w word) bool { return pythonCall().MatchString(w.base()) || isTool(w.base()) })
		if i < 0 {
			return nil, false
		}
		words = words[1+i:]
	}
	if pythonCall().MatchString(words[0].base()) || len(words) > 2 && words[1].value == "-m" && words[2].value == "pip" { // python.sh -m pip
		words = moduleOf(words[1:])
	}
	if len(words) == 0 || !toolSpecs[t].name().MatchString(words[0].base()) {
		return nil, false
	}
	return words[1:], true
}

func isTool(name string) bool {
	return slices.ContainsFunc(Tools, func(t Tool) bool { return toolSpecs[t].name().MatchString(name) })
}

// moduleOf cuts the words after a Python to those from the module on that it is to run.
func moduleOf(words []word) []word {
	for i, w := range words {
		switch {
		case w.value == "-m":
			return words[i+1:]
		case strings.HasPrefix(w.value, "-m"):
			w.value = w.value[2:]
			return append([]word{w}, words[i+1:]...)
		case !strings.HasPrefix(w.value, "-"):
			return nil
		}
	}
	return nil
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

// fetches says whether the call makes the tool fetch packages.
func (c *call) fetches(t Tool) bool {
	args, ok := c.argsOf(t)
	if !ok {
		return false
	}
	if fetch := toolSpecs[t].fetch; fetch != nil {
		return slices.ContainsFunc(args, func(w word) bool { return slices.Contains(fetch, w.value) })
	}
	return !c.manages(t)
}

// manages says whether the call is about the tool's cache, and nothing else.
func (c *call) manages(t Tool) bool {
	args, ok := c.argsOf(t)
	return ok && slices.Contains(toolSpecs[t].manage, subcommand(args))
}

// Fetches says whether the RUN calls the tool to fetch packages, as far as its text shows.
func (r *Run) Fetches(t Tool) bool {
	return r.mentions(t) && slices.ContainsFunc(r.calls(), func(c *call) bool { return c.fetches(t) })
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

// mentions says whether the tool's name is in some text of the RUN: most RUNs need not be read as shell.
func (r *Run) mentions(t Tool) bool {
	return slices.ContainsFunc(r.texts(), func(text string) bool {
		return strings.Contains(text, string(t)) || t == Conda && strings.Contains(text, "mamba")
	})
}

// Getenv returns the value of a variable of the RUN's environment; empty when it has none.
func (r *Run) Getenv(name string) string {
	for _, pair := range slices.Backward(r.Env) {
		if value, ok := strings.CutPrefix(pair, name+"="); ok && name != "" {
			return value
		}
	}
	return ""
}
