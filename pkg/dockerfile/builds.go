package dockerfile

import (
	"path"
	"slices"
	"strings"
)

var (
	// harmless commands install nothing that an extension module could be built against.
	harmless = []string{"cd", "mkdir", "echo", "printf", "export", "set", ":", "true", "test", "[", "rm", "ln", "chmod", "chown", "touch", "ls",
		"git", "curl", "wget", "sed", "grep", "cat", "apt", "apt-get", "useradd", "groupadd", "locale-gen", "update-alternatives"}
	// harmlessWheels are distributions that others are built with, not against.
	harmlessWheels = []string{"pip", "setuptools", "wheel", "uv", "packaging", "ninja", "cmake", "build"}
	// builtAgainst are distributions whose version an extension module depends on.
	builtAgainst = lazyRegexp(`torch|numpy|tensorflow|jax|cuda`)
	// otherPython are the variables that lead pip to another environment.
	otherPython = lazyRegexp(`^(PATH|VIRTUAL_ENV|CONDA_PREFIX|PYTHONPATH|PYTHONHOME|UV_PROJECT_ENVIRONMENT|PIP_PYTHON|UV_PYTHON)=`)
	wheelName   = lazyRegexp(`^[A-Za-z0-9._-]+`)
)

// BuildsOnParent says whether what pip or uv builds in the RUN can depend on the files before it only, and not on what an
// earlier command of the RUN itself installs. In doubt it does not say so.
func (r *Run) BuildsOnParent() bool {
	changed := false
	for _, c := range r.calls() {
		args, ok := c.installs()
		switch {
		case !ok:
			changed = changed || c.mayInstall()
		case changed || c.repeats || slices.Contains([]string{"xargs", "find", "retry"}, c.words[0].base()) || strings.Contains(c.program(), unknown):
			return false
		default:
			changed = !slices.ContainsFunc(args, word.named) || slices.ContainsFunc(args, word.mayChange)
		}
	}
	return true
}

// Pythons are the programs with a path that the RUN installs Python packages by: /opt/venv/bin/pip.
func (r *Run) Pythons() (all []string) {
	for _, c := range r.calls() {
		if _, ok := c.installs(); ok && path.IsAbs(c.program()) {
			all = append(all, c.program())
		}
	}
	return all
}

// installs returns the arguments of a call that makes pip or uv install something.
func (c *call) installs() ([]word, bool) {
	for _, t := range []Tool{Pip, Uv} {
		if c.fetches(t) {
			args, _ := c.argsOf(t)
			return args, true
		}
	}
	return nil, false
}

// program is the path of the program that installs, or of its Python; unknown stands in it for what only the shell knows.
func (c *call) program() string {
	for _, p := range c.does.programs {
		return p.path
	}
	return ""
}

// mayInstall says whether a command that is no pip may change what modules are built against.
func (c *call) mayInstall() bool {
	name := c.words[0].base()
	if !slices.Contains(harmless, name) {
		return true
	}
	return name != "rm" && slices.ContainsFunc(c.words, func(w word) bool { return builtAgainst().MatchString(w.value) }) ||
		slices.ContainsFunc(c.assigns, func(w word) bool { return otherPython().MatchString(w.value) })
}

// named says whether an argument of pip install is a distribution that changes nothing.
func (w word) named() bool { return slices.Contains(harmlessWheels, wheelName().FindString(w.value)) }

// mayChange says whether an argument of pip install may install something that others are built against.
func (w word) mayChange() bool {
	switch w.value {
	case "install", "-U", "--upgrade", "-q", "--quiet", "--no-cache-dir", "--no-input", "--disable-pip-version-check":
		return false
	}
	return !w.named()
}
